/*
 * What `batonctl ps` shows: this generation, its processes, what a
 * draining one still holds.
 */
#ifndef MASTER_REPORT_H
#define MASTER_REPORT_H

#include "lib/base/str.h"

struct master;

void report_text(const struct master *m, struct strb *out);
void report_json(const struct master *m, struct strb *out);

#endif
