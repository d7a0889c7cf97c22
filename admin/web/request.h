/*
 * What an endpoint is asked and what it answers, apart from any
 * connection: so that each can be tested as a function.
 *
 * A reply is one text, or goes on in slices: `more` is called once a loop
 * turn, while the client reads, until it says that it is done.
 */
#ifndef WEB_REQUEST_H
#define WEB_REQUEST_H

#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"

struct admin;

struct web_param {
	struct str name, value; /* decoded */
};

struct web_request {
	struct arena *arena; /* borrowed; owns decoded texts */
	struct str method;
	struct str path;     /* without the query */
	struct str target;   /* as it came, for the log */
	VEC(struct web_param) params; /* of the query, then of a form in the body */
};

/* Splits the target and reads its parameters; a form's come from the body. */
void web_request_init(struct web_request *q, struct arena *arena, struct str method,
    struct str target, struct str content_type, struct str body);
void web_request_fini(struct web_request *q);

bool web_has(const struct web_request *q, const char *name);
struct str web_get(const struct web_request *q, const char *name); /* empty when missing */

enum web_type {
	WEB_TEXT,
	WEB_JSON,
	WEB_HTML,
};

struct web_reply {
	unsigned status;
	enum web_type type;
	struct strb body;
	/* Appends the next slice to body; false when that was the last one. */
	bool (*more)(void *state, struct strb *body);
	void (*free_state)(void *state);
	void *state; /* owned */
	void (*after)(struct admin *a); /* when the client has the answer */
};

void web_reply_init(struct web_reply *r);
void web_reply_fini(struct web_reply *r);
void web_reply_text(struct web_reply *r, unsigned status, const char *text);
const char *web_content_type(enum web_type t);

#endif
