/*
 * batonstat: generations, hosts and failures, as tables or as JSON.
 */
#include "lib/base/clock.h"
#include "lib/base/json_out.h"
#include "shm/hosts.h"
#include "tools/batonstat.h"

static bool
no_stat(void *ctx, struct str name)
{
	return false;
}

/* ---- --generations */

static void
generations_json(const struct stat_set *set, struct strb *out)
{
	struct json_out j;

	json_out_init(&j, out, true);
	json_object(&j);
	json_keyz(&j, "generations");
	json_array(&j);
	for (size_t i = 0; i < set->generations.len; i++) {
		const struct stat_generation *g = &set->generations.at[i];

		json_object(&j);
		json_keyz(&j, "generation");
		json_u64(&j, g->generation);
		json_keyz(&j, "epoch");
		json_u64(&j, g->flags.epoch);
		json_keyz(&j, "state");
		json_stringz(&j, show_state(g));
		json_keyz(&j, "version");
		json_stringz(&j, g->version);
		json_keyz(&j, "health_failed");
		json_bool(&j, g->flags.health_failed);
		json_keyz(&j, "bytes");
		json_u64(&j, g->bytes);
		json_keyz(&j, "processes");
		json_array(&j);
		for (size_t k = 0; k < g->seats.len; k++) {
			const struct stat_seat *s = &g->seats.at[k];
			struct strb who = {0};

			show_seat(&who, s);
			json_object(&j);
			json_keyz(&j, "seat");
			json_u64(&j, s->seat);
			json_keyz(&j, "process");
			json_string(&j, strb_str(&who));
			json_keyz(&j, "pid");
			json_i64(&j, s->pid);
			json_keyz(&j, "alive");
			json_bool(&j, s->alive);
			json_keyz(&j, "owners");
			json_u64(&j, s->owners);
			json_keyz(&j, "turns");
			json_u64(&j, s->beat);
			json_end(&j);
			strb_fini(&who);
		}
		json_end(&j);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	strb_addc(out, '\n');
}

static void
generations_table(const struct stat_set *set, struct strb *out)
{
	struct table t = {.columns = 8};
	static const char *const head[] = {
	    "GENERATION", "EPOCH", "STATE", "VERSION", "PROCESS", "PID", "AGE", "TURNS"};
	uint64_t now = clock_wall_ns();

	for (size_t i = 0; i < t.columns; i++)
		table_addz(&t, head[i]);
	for (size_t i = 0; i < set->generations.len; i++) {
		const struct stat_generation *g = &set->generations.at[i];

		for (size_t k = 0; k < g->seats.len; k++) {
			const struct stat_seat *s = &g->seats.at[k];
			struct strb cell = {0};

			table_num(&t, (int64_t)g->generation);
			table_num(&t, g->flags.epoch);
			table_addz(&t, g->flags.health_failed ? "out of rotation" : show_state(g));
			show_text(&cell, str_of(g->version));
			table_add(&t, &cell);
			show_seat(&cell, s);
			table_add(&t, &cell);
			strb_printf(&cell, s->alive ? "%d" : "(%d gone)", s->pid);
			table_add(&t, &cell);
			show_age(&cell,
			    now > s->taken_wall_ns ? (now - s->taken_wall_ns) / NS_PER_S : 0);
			table_add(&t, &cell);
			table_num(&t, (int64_t)s->beat);
		}
	}
	table_print(&t, out);
}

int
batonstat_generations(const struct batonstat *o, struct strb *out, struct err *err)
{
	struct stat_set *set;

	if (batonstat_read(o, (struct stat_query){.match = no_stat}, &set, err) < 0)
		return -1;
	if (o->json)
		generations_json(set, out);
	else
		generations_table(set, out);
	stat_set_free(&set);
	return 0;
}

/* ---- --hosts */

static const char *const host_stats[] = {"cx_total", "cx_active", "cx_connect_fail", "rq_total",
    "rq_success", "rq_error", "rq_timeout", "rq_active"};
#define HOST_STATS (sizeof(host_stats) / sizeof(host_stats[0]))

static int64_t
host_value(const struct stat_set *set, const struct stat_host *h, const char *name)
{
	struct strb full = {0};
	const struct stat_row *row;

	strb_adds(&full, h->prefix);
	strb_addz(&full, name);
	row = stat_set_find(set, strb_str(&full));
	strb_fini(&full);
	if (row == NULL)
		return 0;
	return row->kind == STAT_GAUGE ? row->gauge : (int64_t)row->counter;
}

static void
hosts_json(const struct stat_set *set, struct strb *out)
{
	struct json_out j;

	json_out_init(&j, out, true);
	json_object(&j);
	json_keyz(&j, "hosts");
	json_array(&j);
	for (size_t i = 0; i < set->hosts.len; i++) {
		const struct stat_host *h = &set->hosts.at[i];
		struct strb flags = {0};

		host_flags_print(&flags, h->flags);
		json_object(&j);
		json_keyz(&j, "cluster");
		json_string(&j, h->cluster);
		json_keyz(&j, "address");
		json_string(&j, h->address);
		json_keyz(&j, "health_flags");
		json_string(&j, strb_str(&flags));
		for (size_t k = 0; k < HOST_STATS; k++) {
			json_keyz(&j, host_stats[k]);
			json_i64(&j, host_value(set, h, host_stats[k]));
		}
		json_end(&j);
		strb_fini(&flags);
	}
	json_end(&j);
	json_end(&j);
	strb_addc(out, '\n');
}

static void
hosts_table(const struct stat_set *set, struct strb *out)
{
	struct table t = {.columns = 3 + HOST_STATS};

	table_addz(&t, "CLUSTER");
	table_addz(&t, "HOST");
	table_addz(&t, "HEALTH");
	for (size_t k = 0; k < HOST_STATS; k++)
		table_addz(&t, host_stats[k]);
	for (size_t i = 0; i < set->hosts.len; i++) {
		const struct stat_host *h = &set->hosts.at[i];
		struct strb cell = {0};

		show_text(&cell, h->cluster);
		table_add(&t, &cell);
		show_text(&cell, h->address);
		table_add(&t, &cell);
		host_flags_print(&cell, h->flags);
		table_add(&t, &cell);
		for (size_t k = 0; k < HOST_STATS; k++)
			table_num(&t, host_value(set, h, host_stats[k]));
	}
	table_print(&t, out);
}

int
batonstat_hosts(const struct batonstat *o, struct strb *out, struct err *err)
{
	struct stat_set *set;

	if (batonstat_read(o, (struct stat_query){.hosts = true}, &set, err) < 0)
		return -1;
	for (size_t i = 0; i < set->hosts.len;) {
		if (batonstat_match((void *)o, set->hosts.at[i].cluster))
			i++;
		else
			vec_remove(&set->hosts, i);
	}
	if (o->json)
		hosts_json(set, out);
	else
		hosts_table(set, out);
	stat_set_free(&set);
	return 0;
}

/* ---- --failures */

static void
failures_json(const struct stat_set *set, struct strb *out)
{
	struct json_out j;

	json_out_init(&j, out, true);
	json_object(&j);
	json_keyz(&j, "failures");
	json_array(&j);
	for (size_t i = 0; i < set->failures.len; i++) {
		const struct stat_failure *f = &set->failures.at[i];
		const struct {
			const char *key;
			struct str value;
		} texts[] = {{"flags", f->flags}, {"cluster", f->cluster}, {"host", f->host},
		    {"route", f->route}, {"details", f->details}};
		struct strb when = {0};

		show_time(&when, f->wall_ns);
		json_object(&j);
		json_keyz(&j, "time");
		json_string(&j, strb_str(&when));
		json_keyz(&j, "generation");
		json_u64(&j, f->generation);
		json_keyz(&j, "kind");
		json_stringz(&j, f->kind == FAILURE_CUT ? "cut" : "request");
		json_keyz(&j, "status");
		json_u64(&j, f->status);
		for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
			json_keyz(&j, texts[k].key);
			json_string(&j, texts[k].value);
		}
		json_end(&j);
		strb_fini(&when);
	}
	json_end(&j);
	json_end(&j);
	strb_addc(out, '\n');
}

static void
add_shown(struct table *t, struct str s)
{
	struct strb cell = {0};

	show_text(&cell, s.n ? s : STR("-"));
	table_add(t, &cell);
}

static void
failures_table(const struct stat_set *set, struct strb *out)
{
	struct table t = {.columns = 8};
	static const char *const head[] = {
	    "TIME", "KIND", "STATUS", "FLAGS", "CLUSTER", "HOST", "ROUTE", "DETAILS"};

	for (size_t i = 0; i < t.columns; i++)
		table_addz(&t, head[i]);
	for (size_t i = 0; i < set->failures.len; i++) {
		const struct stat_failure *f = &set->failures.at[i];
		struct strb cell = {0};

		show_time(&cell, f->wall_ns);
		table_add(&t, &cell);
		table_addz(&t, f->kind == FAILURE_CUT ? "cut" : "request");
		table_num(&t, f->status);
		add_shown(&t, f->flags);
		add_shown(&t, f->cluster);
		add_shown(&t, f->host);
		add_shown(&t, f->route);
		add_shown(&t, f->details);
	}
	table_print(&t, out);
}

int
batonstat_failures(const struct batonstat *o, struct strb *out, struct err *err)
{
	struct stat_query q = {.failures = true, .match = no_stat};
	struct stat_set *set;

	if (batonstat_read(o, q, &set, err) < 0)
		return -1;
	if (o->json)
		failures_json(set, out);
	else
		failures_table(set, out);
	stat_set_free(&set);
	return 0;
}
