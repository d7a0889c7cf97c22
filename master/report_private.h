/*
 * What both forms of a report are made from.
 */
#ifndef MASTER_REPORT_PRIVATE_H
#define MASTER_REPORT_PRIVATE_H

#include "lib/ipc/drain_order.h"
#include "master/adopt.h"
#include "master/children.h"
#include "master/link.h"
#include "master/report.h"
#include "master/runtime_dir.h"

#define REPORT_CONNECTIONS 32 /* by name, of one generation */
#define REPORT_CUTS 8

/* A connection that is still held, as its worker told it. */
struct held_connection {
	struct str kind, peer, age_s, why;
};

/* One thing that was cut, newest first. */
struct report_cut {
	char time[32];
	char details[256];
};

uint64_t report_age_s(const struct master *m, uint64_t since_ns);
const char *report_child_state(const struct child *c);
bool report_drains(const struct master *m);
uint64_t report_seconds_left(const struct master *m, uint64_t at_ns);
/* False at the end of the text. */
bool report_connection(struct str *rest, struct held_connection *out);
/* From the ring of this generation; *back goes on. */
bool report_cut_next(uint64_t *back, struct report_cut *out);
/* Whether the generation tells of itself, or is here by its orphans. */
bool report_is_known(const struct master *m, uint64_t generation);

/* Processes that live without a master and are not ours yet. */
unsigned report_not_adopted(const struct master *m, const struct runtime_other *o);

/* report_json.c: this generation without the others. */
void report_json_own(struct master *m, struct strb *out);

#endif
