/*
 * The date header ("Sun, 06 Nov 1994 08:49:37 GMT"), written once a
 * second and copied from then on.  Callers hand in the loop's wall time.
 */
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"

#define DATE_LEN 29

/* Valid until a time in another second is asked for: copy it. */
struct str date_text(uint64_t wall_ns);
/* The same, copied into the arena. */
struct str date_str(struct arena *a, uint64_t wall_ns);
/* As a line of HTTP/1, for headers_set_line(). */
struct str date_line(struct arena *a, uint64_t wall_ns);

#endif
