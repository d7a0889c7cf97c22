/*
 * Who asks on the control socket, for control.c (commands, the socket) and
 * asker.c (answers, and what is waited for).
 */
#ifndef MASTER_CONTROL_PRIVATE_H
#define MASTER_CONTROL_PRIVATE_H

#include "lib/base/list.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/ipc/control.h"
#include "master/control.h"
#include "master/master_private.h"

struct asker {
	struct list node;
	struct io io;
	struct timer patience;
	struct control *control;
	int fd;
	uint64_t id; /* of the question to admin; 0: none */
	enum control_wait waits;
	bool json;
	struct strb packet; /* its request, for another generation */
};

struct control {
	struct master *master;
	struct io io;
	struct timer pause;
	int fd; /* borrowed */
	struct list askers;
	unsigned cut; /* connections, when the end came */
	uint64_t last_id;
};

#define RELOAD_PATIENCE_MS 120000 /* names are resolved, every worker builds */

/* Takes fd; one request and one answer later it is gone. */
struct asker *asker_new(struct control *c, int fd);
void asker_free(struct asker *a);
/* These end the asker. */
void asker_answer(struct asker *a, enum control_status status, struct str text);
void asker_say(struct asker *a, enum control_status status, struct str line); /* as JSON when he wants */
void asker_pass_on(struct asker *a, struct link *l);
/* Without patience: whoever is waited for has a limit of his own. */
void asker_wait_for(struct asker *a, enum control_wait what);
/* False: admin is not there. */
bool asker_ask_admin(struct asker *a, uint64_t id, const struct control_request *r);
void asker_reload(struct asker *a);

#endif
