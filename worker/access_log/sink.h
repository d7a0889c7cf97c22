/*
 * Where lines go: one sink per path, for the life of the process, shared
 * by every log that names the path.  Lines gather in one buffer and leave
 * in one write to a descriptor in append mode, so that lines of several
 * workers never mix.
 *
 * A full disk, a pipe nobody reads, a descriptor that has not come yet:
 * the buffer stays and is tried again at each interval; while it is full,
 * further lines are dropped and counted.  Traffic never waits.
 */
#ifndef ACCESS_LOG_SINK_H
#define ACCESS_LOG_SINK_H

#include <stdint.h>

#include "lib/base/str.h"

#define SINK_BUFFER (64 * 1024)

struct loop;
struct sink;

void sinks_init(struct loop *l, uint32_t flush_interval_ms);
void sinks_fini(void); /* writes what waits, forgets all; for tests and the end */

/* "/dev/stdout" and "/dev/stderr" begin with the process's own; others wait for sink_set_fd(). */
struct sink *sink_at(struct str path);
/* Takes fd; what waits is written to the one before, which is closed. */
void sink_set_fd(struct sink *s, int fd);

/* Where to append one line, or NULL: it is dropped.  Then say so. */
struct strb *sink_line(struct sink *s);
void sink_line_done(struct sink *s);

void sinks_flush(void);

#endif
