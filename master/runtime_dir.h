/*
 * The runtime directory: where a generation's locks, control socket, pid
 * and segment lie, one directory per base id (names: shm/paths.h).
 *
 *   <runtime dir>/<base id>/start.lock     held by the one that is starting
 *                           control.sock   bound under another name and renamed: never absent
 *                           pid, totals
 *                           g<n>/segment   the file, or a link into /dev/shm
 *                           g<n>/alive     held for the generation's life
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

struct segment;

struct runtime_dir {
	int base_fd, gen_fd, shm_fd; /* <base id>, g<n>; where the segment lies when not in g<n> */
	int lock_fd, alive_fd;
	int control_fd; /* listening, inherited by children */
	uint32_t base_id;
	uint64_t generation;
	char segment_name[32];
	struct strb path; /* of <base id>, for messages */
};

struct runtime_request {
	const char *option; /* --runtime-dir or NULL */
	uint32_t base_id;
	bool dynamic; /* take the first base id that is free */
	uint32_t concurrency;
};

/* Everything a start needs, or the reason why not (a living master, orphans, somebody else's
 * directory, no room).  Nothing is left behind on failure. */
int runtime_dir_open(struct runtime_dir *r, const struct runtime_request *q, struct err *err);
int runtime_dir_segment(
    struct runtime_dir *r, uint32_t concurrency, struct segment **out, struct err *err);
/* The control socket listens and has its name. */
int runtime_dir_listen(struct runtime_dir *r, struct err *err);
/* Start-up is over: others may try now (and will find us alive). */
void runtime_dir_started(struct runtime_dir *r);
/* The end: of the whole line when it was a clean one (the next start counts from 0), else only of
 * this generation, so that what a crash left goes on counting.  Closes everything. */
void runtime_dir_remove(struct runtime_dir *r, bool whole_line);

/* Writes text to a path that an option named. */
int write_text_file(const char *path, const char *text, struct err *err);

#endif
