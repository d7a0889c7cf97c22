/* /clusters: each cluster with its limits and hosts, as text or JSON. */
#include "admin/admin.h"
#include "admin/health/outlier.h"
#include "admin/reading.h"
#include "admin/web/endpoints.h"
#include "admin/web/json.h"
#include "lib/base/mem.h"
#include "lib/base/regex.h"
#include "lib/upstream/thresholds.h"

struct clusters_job {
	struct admin *a;
	struct reading reading; /* the hosts' numbers */
	struct regex *filter;
	size_t next;      /* cluster */
	bool inside;      /* it was begun: hosts from next_host on are still to come */
	bool has_hosts;   /* it had some then */
	size_t next_host;
	struct strb name; /* of it */
	bool as_json;
	struct json_out json;
};

#define HOSTS_A_SLICE 100

static int64_t
host_number(const struct clusters_job *job, const struct member *m, const char *name)
{
	struct strb b = {0};
	const struct stat_row *row;

	if (job->reading.set == NULL)
		return 0;
	strb_adds(&b, m->prefix);
	strb_addz(&b, name);
	row = stat_set_find(job->reading.set, strb_str(&b));
	strb_fini(&b);
	if (row == NULL)
		return 0;
	return row->kind == STAT_GAUGE ? row->gauge : (int64_t)row->counter;
}

static const struct locality nowhere = {
    .region = {"", 0}, .zone = {"", 0}, .sub_zone = {"", 0}};

static bool
is_canary(const struct endpoint *e)
{
	return e->metadata && e->metadata->canary;
}

/* ---- text */

static const char *const limit_names[BREAKER_KINDS] = {
    [BREAKER_CONNECTIONS] = "max_connections",
    [BREAKER_PENDING] = "max_pending_requests",
    [BREAKER_REQUESTS] = "max_requests",
    [BREAKER_RETRIES] = "max_retries",
};

static void
limits_text(const struct member_cluster *c, bool high, struct strb *out)
{
	uint64_t max[BREAKER_KINDS];

	thresholds_read(max, c->message, high);
	for (size_t i = 0; i < BREAKER_KINDS; i++)
		strb_printf(out, "%s::%s_priority::%s::%llu\n", c->message->name,
		    high ? "high" : "default", limit_names[i], (unsigned long long)max[i]);
}

static void
host_text(const struct clusters_job *job, const struct member_cluster *c, const struct member *m,
    struct strb *out)
{
	static const char *const numbers[] = {"cx_active", "cx_connect_fail", "cx_total", "rq_active",
	    "rq_error", "rq_success", "rq_timeout", "rq_total"};
	const struct endpoint *e = &m->endpoint;
	const struct locality *l = e->locality ? e->locality : &nowhere;
	char at[512];

	snprintf(at, sizeof(at), "%s::" STR_FMT, c->message->name, STR_ARG(m->address));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		strb_printf(out, "%s::%s::%lld\n", at, numbers[i],
		    (long long)host_number(job, m, numbers[i]));
	strb_printf(out, "%s::hostname::" STR_FMT "\n", at, STR_ARG(endpoint_hostname(&m->endpoint)));
	strb_printf(out, "%s::health_flags::", at);
	host_flags_print(out, host_cell_flags(m->cell));
	strb_printf(out, "\n%s::weight::%u\n", at, e->weight);
	strb_printf(out, "%s::region::" STR_FMT "\n", at, STR_ARG(l->region));
	strb_printf(out, "%s::zone::" STR_FMT "\n", at, STR_ARG(l->zone));
	strb_printf(out, "%s::sub_zone::" STR_FMT "\n", at, STR_ARG(l->sub_zone));
	strb_printf(out, "%s::canary::%s\n", at, is_canary(e) ? "true" : "false");
	strb_printf(out, "%s::priority::%u\n", at, e->priority);
	strb_printf(out, "%s::success_rate::%.15g\n", at, outlier_success_rate(m, false));
	strb_printf(out, "%s::local_origin_success_rate::%.15g\n", at, outlier_success_rate(m, true));
}

static void
outlier_text(const struct member_cluster *c, struct strb *out)
{
	struct outlier_numbers n;

	if (c->outlier == NULL)
		return;
	n = outliers_numbers(c);
	strb_printf(out, "%s::outlier::success_rate_average::%.15g\n", c->message->name, n.average);
	strb_printf(out, "%s::outlier::success_rate_ejection_threshold::%.15g\n", c->message->name,
	    n.threshold);
	strb_printf(out, "%s::outlier::local_origin_success_rate_average::%.15g\n", c->message->name,
	    n.local_average);
	strb_printf(out, "%s::outlier::local_origin_success_rate_ejection_threshold::%.15g\n",
	    c->message->name, n.local_threshold);
}

/* "" when it has the cluster's name. */
static const char *
eds_service(const struct member_cluster *c)
{
	return c->message->eds_cluster_config ? c->message->eds_cluster_config->service_name : "";
}

static void
cluster_text(const struct member_cluster *c, struct strb *out)
{
	const char *alt = c->message->alt_stat_name;

	strb_printf(out, "%s::observability_name::%s\n", c->message->name, alt[0] ? alt : c->message->name);
	outlier_text(c, out);
	limits_text(c, false, out);
	limits_text(c, true, out);
	strb_printf(out, "%s::added_via_api::false\n", c->message->name);
	if (eds_service(c)[0])
		strb_printf(out, "%s::eds_service_name::%s\n", c->message->name, eds_service(c));
}

/* ---- JSON: envoy.admin.v3.Clusters, fields that are not set left out */

static void
limits_json(struct json_out *j, const struct member_cluster *c, bool high)
{
	uint64_t max[BREAKER_KINDS];

	thresholds_read(max, c->message, high);
	json_object(j);
	if (high)
		json_field(j, "priority", "HIGH");
	for (size_t i = 0; i < BREAKER_KINDS; i++)
		json_field_u32(j, limit_names[i], (uint32_t)max[i]);
	json_end(j);
}

static void
numbers_json(const struct clusters_job *job, struct json_out *j, const struct member *m)
{
	static const struct {
		const char *name;
		bool gauge;
	} rows[] = {{"cx_connect_fail", false}, {"cx_total", false}, {"rq_error", false},
	    {"rq_success", false}, {"rq_timeout", false}, {"rq_total", false}, {"cx_active", true},
	    {"rq_active", true}};

	json_keyz(j, "stats");
	json_array(j);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t v = host_number(job, m, rows[i].name);

		json_object(j);
		if (rows[i].gauge)
			json_field(j, "type", "GAUGE");
		if (v)
			json_field_u64(j, "value", (uint64_t)v);
		json_field(j, "name", rows[i].name);
		json_end(j);
	}
	json_end(j);
}

static void
health_json(struct json_out *j, const struct member *m)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} rows[] = {{HOST_FAILED_ACTIVE_HC, "failed_active_health_check"},
	    {HOST_FAILED_OUTLIER, "failed_outlier_check"},
	    {HOST_DEGRADED_ACTIVE_HC, "failed_active_degraded_check"},
	    {HOST_PENDING_REMOVAL, "pending_dynamic_removal"},
	    {HOST_PENDING_ACTIVE_HC, "pending_active_hc"},
	    {HOST_EXCLUDED_IMMEDIATE_HC_FAIL, "excluded_via_immediate_hc_fail"},
	    {HOST_ACTIVE_HC_TIMEOUT, "active_hc_timeout"},
	    {HOST_OPERATOR_DRAIN, "operator_drain"},
	    {HOST_OPERATOR_FAIL, "operator_fail"}};
	uint32_t flags = host_cell_flags(m->cell);
	const char *eds = flags & HOST_EDS_DRAINING ? "DRAINING"
	    : flags & HOST_FAILED_EDS		    ? "UNHEALTHY"
	    : flags & HOST_DEGRADED_EDS		    ? "DEGRADED"
						    : "HEALTHY";

	json_keyz(j, "health_status");
	json_object(j);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (flags & rows[i].flag)
			json_field_bool(j, rows[i].name, true);
	json_field(j, "eds_health_status", eds);
	json_end(j);
}

static void
host_json(const struct clusters_job *job, struct json_out *j, const struct member *m)
{
	const struct endpoint *e = &m->endpoint;
	const struct locality *l = e->locality ? e->locality : &nowhere;

	json_object(j);
	json_field_address(j, "address", m->address);
	numbers_json(job, j, m);
	health_json(j, m);
	json_field_u32(j, "weight", e->weight);
	json_field_set(j, "hostname", endpoint_hostname(e));
	if (e->priority)
		json_field_u32(j, "priority", e->priority);
	json_keyz(j, "locality");
	json_object(j);
	json_field_set(j, "region", l->region);
	json_field_set(j, "zone", l->zone);
	json_field_set(j, "sub_zone", l->sub_zone);
	json_end(j);
	json_end(j);
}

static void
cluster_json(struct json_out *j, const struct member_cluster *c)
{
	json_object(j);
	json_field_str(j, "name", c->name);
	if (c->members.len == 0)
		return;
	json_keyz(j, "host_statuses");
	json_array(j);
}

/* c: NULL when it went while its hosts were told. */
static void
cluster_json_end(struct json_out *j, const struct member_cluster *c, bool has_hosts)
{
	const char *alt = c ? c->message->alt_stat_name : "";

	if (has_hosts)
		json_end(j);
	if (c) {
		json_keyz(j, "circuit_breakers");
		json_object(j);
		json_keyz(j, "thresholds");
		json_array(j);
		limits_json(j, c, false);
		limits_json(j, c, true);
		json_end(j);
		json_end(j);
		json_field(j, "observability_name", alt[0] ? alt : c->message->name);
		if (eds_service(c)[0])
			json_field(j, "eds_service_name", eds_service(c));
	}
	json_end(j);
}

/* ---- the job */

static void
begin_json(struct clusters_job *job, struct strb *out)
{
	json_out_init(&job->json, out, true);
	json_object(&job->json);
	json_keyz(&job->json, "cluster_statuses");
	json_array(&job->json);
}

static bool
end(struct clusters_job *job, struct strb *out)
{
	if (job->as_json) {
		json_end(&job->json);
		json_end(&job->json);
		strb_addc(out, '\n');
	}
	return false;
}

static bool
begin_cluster(struct clusters_job *job, struct strb *out)
{
	const struct member_cluster *c;

	if (job->next == 0 && job->as_json)
		begin_json(job, out);
	if (job->next >= job->a->members.clusters.len) /* a reload may have taken some away */
		return end(job, out);
	c = job->a->members.clusters.at[job->next++];
	if (job->filter && !regex_match(job->filter, c->name))
		return true;
	job->inside = true;
	job->has_hosts = c->members.len > 0;
	job->next_host = 0;
	strb_reset(&job->name);
	strb_adds(&job->name, c->name);
	if (job->as_json)
		cluster_json(&job->json, c);
	else
		cluster_text(c, out);
	return true;
}

/* Hosts, and with them the cluster, may go between two slices. */
static void
tell_hosts(struct clusters_job *job, struct strb *out)
{
	const struct member_cluster *c =
	    members_cluster(&job->a->members, strb_str(&job->name));
	size_t end = job->next_host + HOSTS_A_SLICE, n = c && job->has_hosts ? c->members.len : 0;

	for (; job->next_host < end && job->next_host < n; job->next_host++) {
		if (job->as_json)
			host_json(job, &job->json, c->members.at[job->next_host]);
		else
			host_text(job, c, c->members.at[job->next_host], out);
	}
	if (job->next_host < n)
		return;
	job->inside = false;
	if (job->as_json)
		cluster_json_end(&job->json, c, job->has_hosts);
}

/* A slice: the numbers, a cluster's beginning, some of its hosts. */
static bool
job_more(void *state, struct strb *out)
{
	struct clusters_job *job = state;

	if (reading_step(&job->reading))
		return true;
	job->json.to = out;
	if (!job->inside)
		return begin_cluster(job, out);
	tell_hosts(job, out);
	return true;
}

static void
job_free(void *state)
{
	struct clusters_job *job = state;

	reading_fini(&job->reading);
	regex_free(&job->filter);
	strb_fini(&job->name);
	mem_free(job);
}

void
web_clusters(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	struct stat_query query = {.hosts = true};
	struct clusters_job *job;
	struct regex *filter = NULL;

	if (web_get(q, "filter").n &&
	    (filter = regex_new(web_get(q, "filter"), REGEX_SEARCH, NULL)) == NULL) {
		web_reply_text(r, 400, "Invalid re2 regex");
		return;
	}
	job = mem_new(struct clusters_job);
	job->a = a;
	job->filter = filter;
	job->as_json = str_eqz(web_get(q, "format"), "json");
	reading_start(&job->reading, a, &query);
	r->type = job->as_json ? WEB_JSON : WEB_TEXT;
	r->more = job_more;
	r->free_state = job_free;
	r->state = job;
}
