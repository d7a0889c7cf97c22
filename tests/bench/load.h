/*
 * What the parts of the load generator share: client connections to
 * 127.0.0.1, polled together, one answer at a time on each.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_ROOM (64 * 1024)
#define NS 1000000000ull
#define GRACE (2 * NS) /* for answers after the last request was due */

struct connection {
	int fd;
	uint64_t due;  /* of the request under way (load rate) */
	size_t got;    /* of its head */
	uint64_t left; /* of its body or message */
	bool in_body, open;
	bool last;     /* its answer is complete, and its end is awaited */
	char head[4096];
	struct connection *next_idle;
};

/* The side that has the load now. */
extern int load_polled;
extern struct connection *load_idle;
extern uint64_t load_answers, load_errors;
extern char load_room[LOAD_ROOM];

extern const char load_request[]; /* GET /, as short as it can be */

uint64_t load_now_ns(void);
_Noreturn void load_die(const char *what);
int load_dial(int port);
void load_put(int fd, const void *p, size_t n);
/* The length behind the head, -1 when the answer is none that was asked for. */
int64_t load_body_length(const char *head, const char *status);
/* Calls for what is ready, and waits until `until` at most. */
void load_wait(uint64_t until, void (*on_ready)(struct connection *c));
void load_poll(struct connection *c);
void load_lose(struct connection *c);

/* Reads: true when the answer (200) is complete. */
bool load_read_answer(struct connection *c);
/* It is idle again, and one more was answered. */
void load_answered(struct connection *c);

/* load_turns.c: arguments behind "turns", and behind "count". */
int load_turns(int argc, char **argv);
int load_count(int argc, char **argv);

#endif
