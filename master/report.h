/*
 * What `batonctl ps` shows: this generation's processes, what they hold
 * while they drain, why, and until when; and the other generations that
 * live.  Those tell it once a second (REPORT) in their own words, made
 * here too.
 */
#ifndef MASTER_REPORT_H
#define MASTER_REPORT_H

#include <stdbool.h>

#include "lib/base/str.h"

struct master;

/* why: with the connections by name, and what was cut lately. */
void report_text(struct master *m, bool why, struct strb *out);
void report_json(struct master *m, struct strb *out);
/* What was cut since this generation began to drain, as far as the ring goes back. */
unsigned report_cut_by_now(void);
/* What a draining generation tells the one that serves: fields of a REPORT. */
void report_pack(struct master *m, struct strb *packet);

#endif
