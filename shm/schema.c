#include "shm/schema.h"

#include <stddef.h>

#include "lib/base/assert.h"
#include "shm/hosts.h"

#define KIND_counter STAT_COUNTER, 0
#define KIND_lazy STAT_COUNTER, ROW_LAZY
#define KIND_gauge STAT_GAUGE, 0
#define KIND_gauge_own STAT_GAUGE, ROW_OWN
#define KIND_gauge_any STAT_GAUGE, ROW_ANY
#define KIND_lazy_gauge_own STAT_GAUGE, ROW_OWN | ROW_LAZY
#define KIND_lazy_gauge_most STAT_GAUGE, ROW_OWN | ROW_LAZY | ROW_ANY
#define KIND_histogram STAT_HISTOGRAM, 0
#define KIND_lazy_histogram STAT_HISTOGRAM, ROW_LAZY
#define KIND_codes STAT_CODES, ROW_LAZY
#define KIND_text STAT_TEXT, 0

/* kind, flags and offset of a row; a text counts from the start of its scope's texts */
#define ROW_OF(name, help, unit, off, ...) ROW_OF_(name, help, unit, off, __VA_ARGS__)
#define ROW_OF_(name, help, unit, off, kind, flags) {name, help, kind, UNIT_##unit, flags, off},
#define PLACE_counter(m) offsetof(struct STATS, m)
#define PLACE_lazy(m) offsetof(struct STATS, m)
#define PLACE_gauge(m) offsetof(struct STATS, m)
#define PLACE_gauge_own(m) offsetof(struct STATS, m)
#define PLACE_gauge_any(m) offsetof(struct STATS, m)
#define PLACE_lazy_gauge_own(m) offsetof(struct STATS, m)
#define PLACE_lazy_gauge_most(m) offsetof(struct STATS, m)
#define PLACE_histogram(m) offsetof(struct STATS, m)
#define PLACE_lazy_histogram(m) offsetof(struct STATS, m)
#define PLACE_codes(m) offsetof(struct STATS, m)
#define PLACE_text(m) offsetof(struct TEXTS, m)
#define STAT(kind, member, name, unit, help)                                                       \
	ROW_OF(name, help, unit, PLACE_##kind(member), KIND_##kind)

#define STATS server_stats
static const struct schema_row server_rows[] = {
#include "shm/stats/server.def"
};
#undef STATS

#define STATS watchdog_stats
static const struct schema_row watchdog_rows[] = {
#include "shm/stats/watchdog.def"
};
#undef STATS

#define STATS baton_stats
#define TEXTS baton_texts
static const struct schema_row baton_rows[] = {
#include "shm/stats/baton.def"
};
#undef STATS
#undef TEXTS

#define STATS listener_stats
static const struct schema_row listener_rows[] = {
#include "shm/stats/listener.def"
};
#undef STATS

#define STATS listener_worker_stats
static const struct schema_row listener_worker_rows[] = {
#include "shm/stats/listener_worker.def"
};
#undef STATS

#define STATS listener_http_stats
static const struct schema_row listener_http_rows[] = {
#include "shm/stats/listener_http.def"
};
#undef STATS

#define STATS listener_manager_stats
static const struct schema_row listener_manager_rows[] = {
#include "shm/stats/listener_manager.def"
};
#undef STATS

#define STATS http_stats
static const struct schema_row http_rows[] = {
#include "shm/stats/http.def"
};
#undef STATS

#define STATS health_check_stats
static const struct schema_row health_check_rows[] = {
#include "shm/stats/health_check.def"
};
#undef STATS

#define STATS http1_codec_stats
static const struct schema_row http1_codec_rows[] = {
#include "shm/stats/http1_codec.def"
};
#undef STATS

#define STATS active_check_stats
static const struct schema_row active_check_rows[] = {
#include "shm/stats/active_check.def"
};
#undef STATS

#define STATS host_outcome_stats
static const struct schema_row host_outcome_rows[] = {
#include "shm/stats/host_outcome.def"
};
#undef STATS

#define STATS outlier_detection_stats
static const struct schema_row outlier_detection_rows[] = {
#include "shm/stats/outlier_detection.def"
};
#undef STATS

#define STATS http2_codec_stats
static const struct schema_row http2_codec_rows[] = {
#include "shm/stats/http2_codec.def"
};
#undef STATS

#define STATS cluster_stats
static const struct schema_row cluster_rows[] = {
#include "shm/stats/cluster.def"
};
#undef STATS

#define STATS cluster_codes_stats
static const struct schema_row cluster_codes_rows[] = {
#include "shm/stats/cluster_codes.def"
};
#undef STATS

#define STATS subscription_stats
#define TEXTS subscription_texts
static const struct schema_row subscription_rows[] = {
#include "shm/stats/subscription.def"
};
#undef STATS
#undef TEXTS

#define STATS control_plane_stats
#define TEXTS control_plane_texts
static const struct schema_row control_plane_rows[] = {
#include "shm/stats/control_plane.def"
};
#undef STATS
#undef TEXTS

#define STATS cluster_manager_stats
static const struct schema_row cluster_manager_rows[] = {
#include "shm/stats/cluster_manager.def"
};
#undef STATS

#define STATS dns_cares_stats
static const struct schema_row dns_cares_rows[] = {
#include "shm/stats/dns_cares.def"
};
#undef STATS

#define STATS host_stats
static const struct schema_row host_rows[] = {
#include "shm/stats/host.def"
};
#undef STATS

#define STATS runtime_stats
static const struct schema_row runtime_rows[] = {
#include "shm/stats/runtime.def"
};
#undef STATS

#define STATS filesystem_stats
static const struct schema_row filesystem_rows[] = {
#include "shm/stats/filesystem.def"
};
#undef STATS

#define STATS access_log_stats
static const struct schema_row access_log_rows[] = {
#include "shm/stats/access_log.def"
};
#undef STATS

#undef STAT

const struct schema_scope schema_scopes[STAT_SCOPES] = {
#define SCOPE(id) [SCOPE_##id] = {#id, id##_rows, ARRAY_LEN(id##_rows), sizeof(struct id##_stats)},
#include "shm/stats/scopes.def"
#undef SCOPE
};

uint32_t
schema_shared_bytes(enum stat_scope scope)
{
	switch (scope) {
	case SCOPE_baton:
		return sizeof(struct baton_texts);
	case SCOPE_subscription:
		return sizeof(struct subscription_texts);
	case SCOPE_control_plane:
		return sizeof(struct control_plane_texts);
	case SCOPE_host:
		return sizeof(struct host_cell);
	default:
		return 0;
	}
}

static uint32_t
add_string(struct strb *strings, const char *z)
{
	uint32_t at = (uint32_t)strings->n;

	strb_add(strings, z, strlen(z) + 1);
	return at;
}

void
schema_write(struct strb *out, uint32_t *rows)
{
	struct strb strings = {0}, table = {0};
	uint32_t n = 0;

	for (int i = 0; i < STAT_SCOPES; i++) {
		const struct schema_scope *sc = &schema_scopes[i];
		struct seg_scope scope = {
		    .name = add_string(&strings, sc->name),
		    .first = n,
		    .rows = sc->rows,
		    .lane_bytes = sc->lane_bytes,
		    .shared_bytes = schema_shared_bytes(i),
		    .flags = i == SCOPE_host || i == SCOPE_host_outcome ? SCOPE_HIDDEN : 0,
		};

		strb_add(out, &scope, sizeof(scope));
		for (uint32_t k = 0; k < sc->rows; k++, n++) {
			const struct schema_row *r = &sc->row[k];
			struct seg_row row = {
			    .name = add_string(&strings, r->name),
			    .help = add_string(&strings, r->help),
			    .kind = (uint16_t)r->kind,
			    .unit = (uint16_t)r->unit,
			    .flags = r->flags,
			    .off = r->off,
			};

			strb_add(&table, &row, sizeof(row));
		}
	}
	strb_adds(out, strb_str(&table));
	strb_adds(out, strb_str(&strings));
	strb_fini(&table);
	strb_fini(&strings);
	*rows = n;
}
