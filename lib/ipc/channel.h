/*
 * Whole messages between two processes over a SOCK_SEQPACKET pair, rows
 * of messages.def, each at most MESSAGE_MAX bytes, with at most one
 * descriptor.  Never blocks: what does not fit in the socket waits in a
 * bounded queue; a queue that overflows (the other side is stopped)
 * drops the channel's newest message and counts it.
 *
 * A handler borrows the message; a descriptor that comes along is the
 * handler's (message_take_fd), else it is closed.
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/ipc/process.h"

struct loop;
struct channel;

#define MESSAGE_MAX 65536
#define SEAT_ALL 0xffffu /* to every worker */

enum message_type {
#define MESSAGE(name, from, to, fd, text) MSG_##name,
#include "lib/ipc/messages.def"
#undef MESSAGE
	MESSAGE_TYPES,
};

const char *message_name(enum message_type t);
enum role message_from(enum message_type t);
enum role message_to(enum message_type t);

/* ---- writing: fields in order */
struct message {
	enum message_type type;
	unsigned seat; /* to (or from) which seat; SEAT_ALL */
	struct strb body;
	int fd; /* -1: none; sending borrows it */
};

void message_init(struct message *m, enum message_type type);
void message_u(struct message *m, uint64_t v);
void message_s(struct message *m, struct str s);
void message_z(struct message *m, const char *z); /* NULL is "" */
void message_fini(struct message *m);

/* ---- reading */
/* A handler sees fd -1 too when this process had no descriptor left to receive it. */
struct message_view {
	enum message_type type;
	unsigned seat; /* who sent it */
	unsigned to;   /* whom it is for: what master needs to pass it on */
	struct str rest;
	int *fd;
};

uint64_t message_get_u(struct message_view *v);     /* 0 when missing */
struct str message_get_s(struct message_view *v);   /* empty when missing; borrowed */
int message_take_fd(struct message_view *v);        /* caller owns; -1 when none came */

/* ---- the channel */
struct channel_events {
	void (*on_message)(void *arg, struct message_view *v);
	void (*on_closed)(void *arg); /* the other side is gone; the channel is dead but not freed */
};

/* Takes fd.  `me` is the seat put on what is sent. */
struct channel *channel_new(
    struct loop *l, int fd, unsigned me, const struct channel_events *events, void *arg);
void channel_free(struct channel **cp);
/* The other side has ended, and what it said last is to be heard before anything is made of its end:
 * handlers are called, on_closed is not.  The channel is there until channel_free(). */
void channel_hear_out(struct channel *c);
/* False when the message was dropped (queue full or channel dead).  m is empty again after. */
bool channel_send(struct channel *c, struct message *m);
/* Master: passes a message on as it is, sender's seat and descriptor included. */
bool channel_pass(struct channel *c, const struct message_view *v);
int channel_fd(const struct channel *c);
size_t channel_queued(const struct channel *c);
uint64_t channel_dropped(const struct channel *c);

#endif
