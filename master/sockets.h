/*
 * Listening sockets, a row per address that admin asked for.
 *
 * With LISTEN_REUSE_PORT a row has one socket per worker, else one that
 * all share (Unix sockets, the admin port).  Master keeps every
 * descriptor for the life of the row: no queue is ever closed while its
 * address is in use.  The sockets of a worker that is away (ended, or
 * silent) are lent to the next one that is here, and taken back when it
 * returns.
 */
#ifndef MASTER_SOCKETS_H
#define MASTER_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct sockets;

/* One socket of a row. */
struct socket_at {
	struct str key; /* borrowed */
	uint64_t flags; /* of the row, and LISTEN_HANDED */
	unsigned index;
	int fd; /* borrowed */
};

struct sockets_events {
	/* Give this socket to this worker (1..n), or to admin (0). */
	void (*give)(void *arg, unsigned worker, const struct socket_at *at, bool lent);
	/* A lent one is wanted back. */
	void (*take_back)(void *arg, unsigned worker, struct str key, unsigned index);
};

struct listen_request {
	struct str key; /* lib/ipc/listen.h */
	uint64_t flags, backlog, mode;
};

struct sockets *sockets_new(unsigned workers, const struct sockets_events *events, void *arg);
/* Closes all; Unix paths are removed when `unlink_paths`. */
void sockets_free(struct sockets **sp, bool unlink_paths);

/* Opens the row, or finds it open; `bound` gets the address with its port.  Everything is checked
 * again here: admin is not trusted with more than listening. */
int sockets_listen(
    struct sockets *s, const struct listen_request *q, struct strb *bound, struct err *err);
/* Closes it here and at the workers. */
void sockets_unlisten(struct sockets *s, struct str key);
/* A new admin asks for what it knows before it serves; what the last one asked for and did not put
 * in force (it died on the way) goes then. */
void sockets_admin_came(struct sockets *s);
void sockets_drop_unasked(struct sockets *s);

/* A worker is here: gets its sockets (again, when it is a new process). */
void sockets_worker_came(struct sockets *s, unsigned worker);
/* Its process ended: whatever it had or was lent goes on. */
void sockets_worker_ended(struct sockets *s, unsigned worker);
/* Its process is there but silent, or beats again. */
void sockets_worker_silent(struct sockets *s, unsigned worker);
void sockets_worker_awake(struct sockets *s, unsigned worker);
/* Nobody gets anything (any more): this generation drains, or does not serve yet. */
void sockets_stop(struct sockets *s);
/* Everybody who is here gets what is his, admin too. */
void sockets_go(struct sockets *s);
/* Admin is here (again): the admin port's socket. */
void sockets_give_admin(struct sockets *s, struct str key);

/*
 * From one generation to the next.  A row that was inherited is nobody's
 * until this generation's admin asks for its address.
 */

/* A socket that listens, from a service manager: whoever asks for its address gets it.  It is shared
 * with that manager: never shut down, its path never removed.  Takes fd when it gives 0. */
int sockets_hand(struct sockets *s, int fd, struct str name, struct err *err);
/* Closes, with a warning, those that nobody asked for. */
void sockets_drop_handed(struct sockets *s);

/* Takes fd when it gives 0. */
int sockets_inherit(struct sockets *s, struct str key, uint64_t flags, int fd, struct err *err);
/* The nth socket of all rows; false: there is none. */
bool sockets_each(const struct sockets *s, size_t n, struct socket_at *out);
/* We shall not serve again: closed here and in the workers. */
void sockets_disown(struct sockets *s);
/* The heir does not listen at this address: closed here and in the workers until sockets_reopen(). */
void sockets_give_up(struct sockets *s, struct str key);
void sockets_reopen(struct sockets *s); /* we are to serve again */
/* Closes a row that was inherited in vain and gives its key in `key`; empty: there is none. */
struct str sockets_forget_unclaimed(struct sockets *s, struct strb *key);

size_t sockets_rows(const struct sockets *s);

#endif
