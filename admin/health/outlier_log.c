#include "admin/health/outlier_log.h"

#include "admin/health/event_log.h"
#include "lib/base/json_out.h"

static const char *const kind_names[EJECT_KINDS] = {
#define KIND(id, number, field, unset, stat) [EJECT_##id] = #id,
#include "admin/health/outlier_kinds.def"
#undef KIND
};

static void
number_field(struct json_out *j, const char *name, double v)
{
	json_keyz(j, name);
	json_u64(j, v > 0 ? (uint64_t)v : 0);
}

static void
print_reason(struct json_out *j, const struct outlier_event *e)
{
	switch (e->kind) {
	case EJECT_SUCCESS_RATE:
	case EJECT_SUCCESS_RATE_LOCAL_ORIGIN:
		json_keyz(j, "eject_success_rate_event");
		json_object(j);
		number_field(j, "host_success_rate", e->rate);
		number_field(j, "cluster_average_success_rate", e->average);
		number_field(j, "cluster_success_rate_ejection_threshold", e->threshold);
		break;
	case EJECT_FAILURE_PERCENTAGE:
	case EJECT_FAILURE_PERCENTAGE_LOCAL_ORIGIN:
		json_keyz(j, "eject_failure_percentage_event");
		json_object(j);
		number_field(j, "host_success_rate", e->rate);
		break;
	default:
		json_keyz(j, "eject_consecutive_event");
		json_object(j);
		break;
	}
	json_end(j);
}

void
outlier_event_print(struct strb *out, const struct outlier_event *e)
{
	struct json_out j;

	json_out_init(&j, out, false);
	json_object(&j);
	json_keyz(&j, "type");
	json_stringz(&j, kind_names[e->kind]);
	event_time_print(&j, e->wall_ns);
	if (e->since_last_s >= 0) {
		json_keyz(&j, "secs_since_last_action");
		json_printf(&j, "%lld", (long long)e->since_last_s);
	}
	json_keyz(&j, "cluster_name");
	json_string(&j, e->cluster);
	json_keyz(&j, "upstream_url");
	json_string(&j, e->host);
	json_keyz(&j, "action");
	json_stringz(&j, e->eject ? "EJECT" : "UNEJECT");
	json_keyz(&j, "num_ejections");
	json_u64(&j, e->ejections);
	json_keyz(&j, "enforced");
	json_bool(&j, e->enforced);
	if (e->eject)
		print_reason(&j, e);
	json_end(&j);
	strb_addc(out, '\n');
}
