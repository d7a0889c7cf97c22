/*
 * What the files of the soak share.  One process, one thread: soak.c is
 * the story, loop.c moves bytes, h1.c, h2.c and ws.c are the clients,
 * tally.c counts, subject.c and its kin start and stir the proxy.
 *
 * No client ever retries: what fails is counted, then a new connection is
 * made for the next request.
 */
#ifndef SOAK_H
#define SOAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/list.h"
#include "lib/base/str.h"

#define PATIENCE_NS (20 * 1000000000ull) /* nothing heard for so long: failed */
#define PACE_MS 250			 /* slow transfers move a piece this often */
#define PACE_BYTES 16384		 /* of this size: 64 KiB/s */

enum kind {
#define KIND(id, clients, name) KIND_##id,
#include "tests/soak/kinds.def"
#undef KIND
	KINDS,
};

enum phase {
	PHASE_PLAIN,
	PHASE_RELOADS,
	PHASE_RESTARTS,
	PHASE_DEADLINES,
	PHASE_KILLS,
	PHASE_POINTS,
	PHASE_FINISH,
	PHASES,
};

/* ---- loop.c: connections of clients */

struct peer;

struct peer_type {
	void (*on_open)(struct peer *p);
	void (*on_bytes)(struct peer *p, const char *bytes, size_t n);
	void (*on_closed)(struct peer *p, const char *why); /* the descriptor is closed already */
	void (*on_wake)(struct peer *p);
	void (*on_late)(struct peer *p);		      /* PATIENCE_NS after peer_expect() */
	void (*on_written)(struct peer *p, uint64_t took_ns); /* all that was given; may be NULL */
	void (*free)(struct peer *p);
};

/* One client, with at most one connection.  Owned by the loop's list. */
struct peer {
	struct list node;
	const struct peer_type *type;
	enum kind kind;
	int fd;	       /* -1: none */
	uint16_t port; /* ours */
	bool connecting, gone;
	bool doomed; /* its worker was killed by us */
	unsigned polled;
	size_t budget; /* bytes that may be read; SIZE_MAX: as they come */
	uint64_t wake_at, late_at, writing_since;
	struct strb out;
	size_t out_at;
};

extern uint64_t now_ns;	       /* when this turn began */
extern uint64_t loop_stall_ns; /* longest turn: how late this client itself was */
extern uint64_t loop_away_ns;  /* longest hold of a worker before it was killed */
extern bool finishing;	       /* no new requests */
extern bool outage;	       /* nobody listens, and that is our doing */
extern bool excused;	       /* we killed workers without a master: perhaps nobody listens */

void loop_init(void);
void loop_turn(unsigned ms);
unsigned loop_peers(void);
void loop_each(void (*visit)(struct peer *p, void *arg), void *arg);

void peer_init(struct peer *p, const struct peer_type *type, enum kind kind);
void peer_connect(struct peer *p, uint16_t port, int receive_bytes); /* 0: the kernel's choice */
void peer_send(struct peer *p, const void *bytes, size_t n);
void peer_hangup(struct peer *p);    /* quietly: no callback */
void peer_remove(struct peer *p);    /* freed at the end of the turn */
bool peer_has_ended(struct peer *p); /* the other side closed while nothing was asked */
void peer_wake_in(struct peer *p, unsigned ms);
void peer_expect(struct peer *p); /* something must be heard from now on */
void peer_expect_nothing(struct peer *p);
void peer_may_read(struct peer *p, size_t bytes); /* so many more */

/* ---- clients */

extern uint16_t h1_port, h2_port;
extern unsigned slow_s;			     /* how long a slow transfer takes */
extern unsigned version_least, version_most; /* what a probe may hear */

void h1_start(enum kind kind);
void h2_start(enum kind kind);
void ws_start(void);

static inline char
pattern_byte(uint64_t seed, uint64_t at)
{
	return (char)(at + (at >> 8) * 7 + (at >> 16) * 13 + seed);
}

#define FNV_START 0xcbf29ce484222325ull

void pattern_fill(struct strb *b, uint64_t seed, uint64_t at, size_t n);
bool pattern_matches(const char *bytes, size_t n, uint64_t seed, uint64_t at);
uint64_t pattern_fnv(uint64_t seed, uint64_t n); /* as the origin's /upload hashes */
unsigned between(unsigned least, unsigned most);

/* ---- tally.c */

struct tally {
	uint64_t done, failed, lost, closed_idle, pause_ns;
};

extern enum phase phase;
extern struct tally tally[PHASES][KINDS];
extern uint64_t heads_sent;   /* requests whose head was handed to the kernel whole */
extern bool closed_is_told; /* idle connections that were closed: one by one */
extern uint64_t heads_unsure; /* of these, failed: nobody knows who read them */

void tally_head(void);
void tally_done(enum kind kind, uint64_t pause_ns);
void tally_pause(enum kind kind, uint64_t pause_ns);
/* `sent`: its head had left. */
void tally_failed(struct peer *p, bool sent, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void tally_closed_idle(struct peer *p);
const char *kind_name(enum kind kind);
void tally_print(enum phase ph, const char *what);
uint64_t tally_sum_failed(enum phase ph);
uint64_t tally_sum_closed(enum phase ph);

/* ---- subject.c: the proxy under test */

struct subject {
	const char *name;
	void (*start)(void);
	/* The n-th (from 0).  Returns once it is in force; counts what it finds wrong by itself. */
	void (*restart)(unsigned n);
	void (*reload)(unsigned n);
	void (*stop)(void);
};

extern const struct subject subject_baton, subject_nginx, subject_haproxy;
extern char run_dir[64];
extern uint16_t origin_port;
extern unsigned refused; /* actions that were refused as they had to be */
extern unsigned faults;	 /* of the driver's own findings */

void fault(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Writes a file of run_dir by way of a rename. */
void write_file(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint16_t free_port(void);
void wait_for_port(uint16_t port);
void baton_kill_worker(void);
/* downstream_rq_total of all generations; -1: batonstat failed. */
int64_t baton_stat(const char *name);
void baton_stop_checks(unsigned kills);

/* ---- deadlines.c: a hot restart whose old generation may not hold everything for long */

void deadlines_restart(unsigned n);
void deadlines_end(void); /* a generation without deadlines serves from now on */

/* ---- points.c: anything is killed at any moment */

#define BREAKER_REQUESTS 150 /* max_requests of the cluster: shares that leak are missed soon */

struct points {
	unsigned done, starts;
	uint64_t start_ns, start_allowed_ns; /* the longest start; 0: only told */
	uint64_t settle_ns;		     /* the longest time until all was there again */
	int64_t crashes;		     /* workers that died while their master lived, at most */
};
extern struct points points;
void points_init(uint64_t seed);
void baton_with_two_workers(void);
void points_kill(unsigned n);
/* With all clients gone: every number is where it must be. */
void points_quiet(void);

/* ---- process.c */

void processes_init(void);
bool process_interrupted(void); /* by SIGINT or SIGTERM */
pid_t process_start(char *const *argv, const char *log);
bool process_ended(pid_t pid, int *status); /* once, for what process_start gave */
/* Turns the loop until it ends; its exit code (-1: had to be killed), output in out (may be NULL).
 */
int process_run(char *const *argv, struct strb *out);
unsigned process_children(pid_t parent, const char *title, pid_t *pids, unsigned room);
/* All that descends from us, except origin. */
struct memory {
	uint64_t pss_kib;
	unsigned processes, masters;
};
struct memory process_memory(pid_t except);
void process_end_all(void);
/* Marks the clients whose connection a process holds; those that wait in a queue. */
void process_doom_clients(pid_t pid);
unsigned process_doom_kinds(pid_t pid, unsigned kinds); /* a bit a kind; gives how many */
void process_doom_queued(void);
bool process_somebody_listens(void);	      /* on the port of the clients */
unsigned process_origin_connections(void);    /* open ones */
unsigned process_descriptors(pid_t pid);
void process_wait_gone(pid_t pid); /* dead, if not waited for yet; without a turn of the loop */

enum baton_role { BATON_MASTER, BATON_ADMIN, BATON_WORKER };
struct baton_process {
	pid_t pid, parent;
	enum baton_role role;
};
/* All of them that live, whatever their generation. */
unsigned process_batons(struct baton_process *out, unsigned room);
void run_for(unsigned ms);
char *program(const char *name); /* in the build folder; good for four more calls */

#endif
