#include "admin/stats.h"

#include <stdio.h>
#include <unistd.h>

#include "admin/admin.h"
#include "lib/base/mem.h"
#include "shm/flags.h"
#include "shm/lane.h"
#include "shm/segment.h"

#define SECOND_MS 1000

/* What Envoy shows when there is no certificate. */
#define NO_CERTIFICATE_DAYS UINT32_MAX

static unsigned
version_number(void)
{
	unsigned major = 0, minor = 0, patch = 0;

	sscanf(BATON_VERSION, "%u.%u.%u", &major, &minor, &patch);
	return major * 10000 + minor * 100 + patch;
}

static void
add_process(struct process_memory *m, int32_t pid)
{
	unsigned long long size, resident, shared, text, lib, data;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if ((f = fopen(path, "re")) == NULL)
		return;
	if (fscanf(f, "%llu %llu %llu %llu %llu %llu", &size, &resident, &shared, &text, &lib, &data) == 6) {
		m->physical += resident * page;
		m->allocated += (resident - shared) * page;
		m->heap += data * page;
	}
	fclose(f);
}

struct process_memory
stats_memory(const struct admin *a)
{
	struct process_memory m = {0};

	if (a->segment == NULL || a->segment->h == NULL) {
		add_process(&m, (int32_t)getpid());
		return m;
	}
	for (uint32_t i = 0; i < a->segment->h->seats; i++) {
		const struct seg_seat *seat = segment_seat(a->segment, i);

		if (__atomic_load_n(&seat->state, __ATOMIC_ACQUIRE) == SEAT_TAKEN)
			add_process(&m, seat->pid);
	}
	return m;
}

static int64_t
connections(const struct admin *a)
{
	int64_t n = 0;

	for (size_t i = 0; i < a->store.listeners.len; i++) {
		struct listener_stats *l = block_stats(SCOPE_listener, a->store.listeners.at[i].prefix);

		n += stat_gauge_others(&l->downstream_cx_active);
	}
	return n;
}

/* ---- listeners that are removed and have connections */

static bool
is_configured(const struct admin *a, const char *prefix)
{
	for (size_t i = 0; i < a->store.listeners.len; i++)
		if (str_eqz(a->store.listeners.at[i].prefix, prefix))
			return true;
	return false;
}

static int64_t
count_leaving(struct admin *a)
{
	struct admin_stats *s = &a->stats;

	for (size_t i = s->leaving.len; i-- > 0;) {
		struct listener_stats *l = block_stats(SCOPE_listener, str_of(s->leaving.at[i]));

		if (!is_configured(a, s->leaving.at[i]) &&
		    stat_gauge_others(&l->downstream_cx_active) > 0)
			continue;
		mem_free(s->leaving.at[i]);
		vec_remove(&s->leaving, i);
	}
	return (int64_t)s->leaving.len;
}

void
stats_note_leaving(struct admin *a, struct str prefix)
{
	*vec_push(&a->stats.leaving) = str_dupz(prefix);
}

void
stats_update(struct admin *a)
{
	struct server_stats *s = a->stats.server;
	const struct shm_flags *f = shm_flags();
	struct process_memory m = stats_memory(a);
	unsigned state = admin_state(a);

	stat_set(&s->uptime, (int64_t)((loop_wall_ns(a->loop) - f->started_wall_ns) / 1000000000));
	stat_set(&s->concurrency, a->settings->concurrency);
	stat_set(&s->memory_allocated, (int64_t)m.allocated);
	stat_set(&s->memory_heap_size, (int64_t)m.heap);
	stat_set(&s->memory_physical_size, (int64_t)m.physical);
	stat_set(&s->live, state == SERVER_LIVE);
	stat_set(&s->state, state);
	stat_set(&s->parent_connections, (int64_t)a->parent_connections);
	stat_set(&s->total_connections, connections(a) + (int64_t)a->parent_connections);
	stat_set(&s->hot_restart_epoch, a->settings->restart_epoch);
	stat_set(&s->hot_restart_generation, (int64_t)a->settings->restart_epoch + 1);
	stat_set(&s->version, version_number());
	stat_set(&s->days_until_first_cert_expiring, NO_CERTIFICATE_DAYS);
	stat_set(&s->seconds_until_first_ocsp_response_expiring, NO_CERTIFICATE_DAYS);
	stat_set(&s->compilation_settings_fips_mode, 0);
	stat_set(&a->stats.listener_manager->total_listeners_active,
	    a->serving ? (int64_t)a->store.listeners.len : 0);
	stat_set(&a->stats.listener_manager->total_listeners_warming,
	    a->serving ? 0 : (int64_t)a->store.listeners.len);
	stat_set(&a->stats.listener_manager->total_listeners_draining, count_leaving(a));
	stat_set(&a->stats.listener_manager->total_filter_chains_draining, 0);
	stat_set(&a->stats.listener_manager->workers_started, a->serving);
	stat_set(&a->stats.cluster_manager->active_clusters,
	    (int64_t)a->members.clusters.len - members_warming(&a->members));
	stat_set(&a->stats.cluster_manager->warming_clusters, members_warming(&a->members));
	members_count(&a->members);
	stat_add(&a->stats.baton->log_lines_dropped, log_take_dropped());
}

static void
on_second(void *arg)
{
	struct admin *a = arg;

	stats_update(a);
	timer_set(a->loop, &a->stats.second, SECOND_MS);
}

void
stats_attach(struct admin *a)
{
	struct baton_texts *texts = block_shared(SCOPE_baton, STR("baton."));

	stat_text_set(&texts->version_text, STR(BATON_VERSION));
	a->stats.baton = baton_stats_of("baton.");
	a->stats.server = server_stats_of("server.");
	a->stats.listener_manager = listener_manager_stats_of("listener_manager.");
	a->stats.cluster_manager = cluster_manager_stats_of("cluster_manager.");
	a->stats.filesystem = filesystem_stats_of("filesystem.");
	a->stats.runtime = runtime_stats_of("runtime.");
	stat_set(&a->stats.runtime->admin_overrides_active, 0);
	stat_set(&a->stats.runtime->num_keys, 0);
	stat_set(&a->stats.runtime->num_layers, 0);
	stat_set(&a->stats.runtime->deprecated_feature_seen_since_process_start, 0);
}

void
stats_start(struct admin *a)
{
	timer_init(&a->stats.second, on_second, a);
	on_second(a);
}

void
stats_stop(struct admin *a)
{
	timer_stop(&a->stats.second);
	for (size_t i = 0; i < a->stats.leaving.len; i++)
		mem_free(a->stats.leaving.at[i]);
	vec_fini(&a->stats.leaving);
}

void
stats_count_added(struct admin *a)
{
	uint64_t listeners = a->store.listeners.len, clusters = a->members.clusters.len;

	stat_add(&a->stats.listener_manager->listener_added, listeners);
	stat_add(&a->stats.listener_manager->listener_create_success,
	    listeners * publish_workers(a->publish));
	stat_add(&a->stats.cluster_manager->cluster_added, clusters);
	stat_inc(&a->stats.runtime->load_success);
}
