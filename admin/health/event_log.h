/*
 * Event logs of health checks and outlier detection: a line of JSON for
 * each envoy.data.core.v3.HealthCheckEvent, or for each
 * envoy.data.cluster.v3.OutlierDetectionEvent.  A file is open once, however many
 * clusters write to it, as long as one of them does; lines leave at the
 * end of the turn.
 */
#ifndef ADMIN_HEALTH_EVENT_LOG_H
#define ADMIN_HEALTH_EVENT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/list.h"
#include "lib/net/address.h"

struct event_log;
struct loop;

struct event_logs {
	struct loop *loop;
	struct list files;
};

void event_logs_init(struct event_logs *l, struct loop *loop);
void event_logs_fini(struct event_logs *l);
void event_logs_reopen(struct event_logs *l); /* a file that cannot be opened anew stays */

struct event_log *event_log_open(struct event_logs *l, const char *path, struct err *err);
void event_log_close(struct event_log **fp);

struct health_event {
	const char *checker; /* "HTTP" */
	const char *event;   /* "eject_unhealthy_event" */
	const char *failure; /* "ACTIVE"; NULL: none */
	bool says_first, first; /* first_check is part of it */
	struct str cluster, region, zone, sub_zone;
	const struct address *host;
	uint64_t wall_ns;
};
void event_log_write(struct event_log *f, const struct health_event *e);
struct json_out;
struct outlier_event;
void event_log_outlier(struct event_log *f, const struct outlier_event *e);
/* "timestamp" and its value. */
void event_time_print(struct json_out *j, uint64_t wall_ns);
/* The line alone, with its end. */
void health_event_print(struct strb *out, const struct health_event *e);

#endif
