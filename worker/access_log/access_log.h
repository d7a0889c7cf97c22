/*
 * One access log of an HTTP connection manager: a compiled format and the
 * sink its lines go to.  Part of a snapshot; sinks are the process's and
 * shared by path.  A line is formatted into the sink's buffer, which
 * leaves when it is full or at its flush interval: nothing here blocks.
 */
#ifndef ACCESS_LOG_ACCESS_LOG_H
#define ACCESS_LOG_ACCESS_LOG_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/http/headers.h"
#include "worker/hcm/stream_info.h"

struct access_log;
struct loop;

/* Before anything else in this process: whose loop flushes, and how often. */
void access_logs_init(struct loop *l, uint32_t flush_interval_ms);

/* msg: envoy.config.accesslog.v3.AccessLog, borrowed; what is built lives in the arena. */
int access_log_build(
    struct access_log **out, const void *msg, struct arena *arena, struct err *err);
void access_log_write(struct access_log *al, const struct stream_info *info);

/*
 * A line of this stream comes soon: what it is made of may have left the
 * cache since the request was sent on.  Always inline, for gcc drops calls
 * of a function that does nothing but prefetch.
 */
static inline __attribute__((always_inline)) void
access_log_foresee(const struct stream_info *info)
{
	const struct headers *h = info->request;

	if (h == NULL || h->len == 0)
		return;
	__builtin_prefetch(h->at);
	__builtin_prefetch(&h->at[h->len - 1]);
	__builtin_prefetch(h->at[0].value);
}

/* The descriptor for a path came (takes fd); the one before is flushed and closed. */
void access_logs_set_fd(struct str path, int fd);
/* Everything that waits is written now: at the end of the process. */
void access_logs_flush(void);

#endif
