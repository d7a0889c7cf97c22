/*
 * The runtime directory: where a generation's locks, control socket, pid
 * and segment lie, one directory per base id (names: shm/paths.h).
 *
 *   <runtime dir>/<base id>/start.lock     held by the one that is starting
 *                           control.sock   a link to the serving generation's: never absent
 *                           pid, totals
 *                           g<n>/segment   the file, or a link into /dev/shm
 *                           g<n>/alive     held for the generation's life
 *                           g<n>/control.sock
 *
 * Locks are fcntl's: released by death, not inherited by children, and
 * F_GETLK names the holder.  Nothing is trusted by its name: directories
 * are ours alone (0700), opened without following links, and used by
 * descriptor.
 */
#ifndef MASTER_RUNTIME_DIR_H
#define MASTER_RUNTIME_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"

struct segment;

/* Another generation of the same base id. */
struct runtime_other {
	uint64_t generation;
	int32_t master;     /* pid; 0: dead */
	unsigned processes; /* of its segment that live; only counted when its master is dead */
	bool has_segment;
};

struct runtime_others {
	VEC(struct runtime_other) all;
};

enum runtime_start {
	RUNTIME_PLAIN,     /* nobody may serve there */
	RUNTIME_TAKE_OVER, /* --restart-epoch N: somebody must */
	RUNTIME_AUTO,      /* as it comes */
};

struct runtime_dir {
	int base_fd, gen_fd, shm_fd; /* <base id>, g<n>; where the segment lies when not in g<n> */
	int lock_fd, alive_fd;
	int control_fd; /* listening, inherited by children */
	uint32_t base_id;
	uint64_t generation;
	bool has_elder;   /* a living master was found: it is to be taken over from */
	uint64_t orphans; /* youngest generation whose processes outlived their master; 0: none */
	struct runtime_others left; /* all of these, the youngest first */
	char segment_name[32];
	struct strb path; /* of <base id>, for messages */
};

struct runtime_request {
	const char *option; /* --runtime-dir or NULL */
	uint32_t base_id;
	bool dynamic; /* take the first base id that is free */
	enum runtime_start start;
	bool alone_is_fine; /* RUNTIME_TAKE_OVER with nothing there starts anew */
	uint32_t concurrency;
};

/* Everything a start needs, or the reason why not (a living master, orphans, somebody else's
 * directory, no room).  Nothing is left behind on failure. */
int runtime_dir_open(struct runtime_dir *r, const struct runtime_request *q, struct err *err);
int runtime_dir_segment(
    struct runtime_dir *r, uint32_t concurrency, struct segment **out, struct err *err);
/* The control socket listens, under g<n> only. */
int runtime_dir_listen(struct runtime_dir *r, struct err *err);
/* From now on control.sock and pid mean this generation. */
int runtime_dir_publish(struct runtime_dir *r, struct err *err);
/* A connection to the control socket of the one that serves (0) or of this generation; -1. */
int runtime_dir_connect(struct runtime_dir *r, uint64_t generation, struct err *err);
/* Start-up is over: others may try now (and will find us alive). */
void runtime_dir_started(struct runtime_dir *r);
bool runtime_dir_is_starting(struct runtime_dir *r); /* somebody else holds start.lock */
/* Who else is there now. */
void runtime_dir_others(struct runtime_dir *r, struct runtime_others *out);
/* SIGTERM to every process whose master is dead: it drains and ends. */
void runtime_dir_end_orphans(struct runtime_dir *r);
/* What is left of a generation whose numbers were folded, or never were. */
void runtime_dir_forget(struct runtime_dir *r, uint64_t generation);

enum runtime_end {
	RUNTIME_FAILED, /* the start came to nothing: this generation leaves no trace */
	RUNTIME_LEFT,   /* another has taken over: its numbers stay, also when that one is dead */
	RUNTIME_ENDED,  /* with nobody else there the whole line ends: the next start counts from 0 */
};

/* Closes everything. */
void runtime_dir_remove(struct runtime_dir *r, enum runtime_end how);

/* Writes text to a path that an option named. */
int write_text_file(const char *path, const char *text, struct err *err);

#endif
