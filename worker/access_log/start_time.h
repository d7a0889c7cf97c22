/*
 * %START_TIME(format)%: strftime, and beside it %s (seconds since 1970),
 * %3f %6f %9f %f (fraction), %E3S %E*S (seconds with fraction); UTC.
 * Compiled once; the text of a second is kept, so that lines of the same
 * second cost a copy.
 */
#ifndef ACCESS_LOG_START_TIME_H
#define ACCESS_LOG_START_TIME_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"

struct start_time;

/* An empty format is Envoy's: %Y-%m-%dT%H:%M:%E3SZ. */
const struct start_time *start_time_compile(struct str format, struct arena *a);
/* Gives how many bytes of out (at most n) were written; no control bytes but TAB. */
size_t start_time_write(const struct start_time *t, uint64_t wall_ns, char *out, size_t n);

#endif
