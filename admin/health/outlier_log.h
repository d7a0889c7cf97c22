/* Lines of the outlier event log: envoy.data.cluster.v3.OutlierDetectionEvent as JSON. */
#ifndef ADMIN_HEALTH_OUTLIER_LOG_H
#define ADMIN_HEALTH_OUTLIER_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

enum ejection_kind {
#define KIND(id, number, field, unset, stat) EJECT_##id = number,
#include "admin/health/outlier_kinds.def"
#undef KIND
	EJECT_KINDS,
};

struct outlier_event {
	enum ejection_kind kind;
	bool eject, enforced;
	uint64_t wall_ns;
	int64_t since_last_s; /* since the last time it went or came; -1: never */
	struct str cluster, host;
	uint32_t ejections;
	double rate, average, threshold; /* of kinds that compare rates, percent */
};

/* The line, with its end. */
void outlier_event_print(struct strb *out, const struct outlier_event *e);

#endif
