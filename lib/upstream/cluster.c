#include "lib/upstream/cluster.h"

#include "conf/defaults.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/upstream/cluster_http.h"
#include "lib/upstream/hash_policy.h"
#include "lib/upstream/host_set.h"
#include "lib/upstream/lb_config.h"
#include "lib/upstream/override_host.h"
#include "lib/upstream/pool.h"
#include "lib/upstream/subset.h"
#include "lib/upstream/thresholds.h"
#include "lib/upstream/zone.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"

#define LOOK_MS 1000 /* how often verdicts are looked at without a request */
#define CONNECT_TIMEOUT_MS 5000
#define BUFFER_LIMIT (1u << 20)

typedef Envoy__Config__Cluster__V3__Cluster Cluster;

/* ---- building */

static void
find_stats(struct cluster *c, const Cluster *msg)
{
	struct strb prefix = {0};
	size_t n;

	cluster_block_prefix(&prefix, msg);
	n = prefix.n;
	c->stat_prefix = str_make(mem_strndup(prefix.p, n), n);
	c->stats = block_stats(SCOPE_cluster, strb_str(&prefix));
	for (unsigned i = 0; i < CODES_SETS; i++) {
		prefix.n = n;
		strb_addz(&prefix, codes_set_names[i]);
		c->codes[i] = block_stats(SCOPE_cluster_codes, strb_str(&prefix));
	}
	prefix.n = n;
	strb_addz(&prefix, "health_check.");
	if (msg->n_health_checks)
		c->check_stats = block_stats(SCOPE_active_check, strb_str(&prefix));
	prefix.n = n;
	strb_addz(&prefix, "http1.");
	c->codec.h1_stats = block_stats(SCOPE_http1_codec, strb_str(&prefix));
	prefix.n = n;
	strb_addz(&prefix, "http2.");
	c->codec.h2_stats = block_stats(SCOPE_http2_codec, strb_str(&prefix));
	strb_fini(&prefix);
}

static void
read_connection_options(struct cluster *c, const Cluster *msg)
{
	const Envoy__Config__Core__V3__TcpKeepalive *k =
	    msg->upstream_connection_options ? msg->upstream_connection_options->tcp_keepalive
					     : NULL;

	c->connect_timeout_ms =
	    (uint32_t)conf_duration_ms(msg->connect_timeout, CONNECT_TIMEOUT_MS);
	c->close_on_host_change =
	    msg->common_lb_config && msg->common_lb_config->close_connections_on_host_set_change;
	c->buffer_limit = conf_u32(msg->per_connection_buffer_limit_bytes, BUFFER_LIMIT);
	if (k == NULL)
		return;
	c->tcp_keepalive = true;
	c->keepalive.probes = conf_u32(k->keepalive_probes, 0);
	c->keepalive.time_s = conf_u32(k->keepalive_time, 0);
	c->keepalive.interval_s = conf_u32(k->keepalive_interval, 0);
}

static void
read_breakers(struct cluster *c, const Cluster *msg)
{
	uint64_t max[BREAKER_KINDS];
	struct retry_budget budget;

	for (unsigned i = 0; i < 2; i++) {
		bool track = thresholds_read(max, msg, i == 1);

		breakers_init(&c->breakers[i], c->loop, c->stats, i == 1, max, track);
		c->breakers[i].host_connections = thresholds_host_connections(msg, i == 1);
		if (thresholds_read_budget(&budget, msg, i == 1))
			breakers_set_budget(&c->breakers[i], &budget);
	}
}

void
cluster_make_sets(struct cluster *c)
{
	c->set = host_set_new(c->loop, c->hosts, c->hosts_n, c->policy, &c->lb, c->stats);
	if (c->subset_config)
		c->subsets = subsets_new(c);
	if (c->override)
		override_host_index(c->override, c->hosts, c->hosts_n);
}

void
cluster_free_sets(struct cluster *c)
{
	subsets_free(&c->subsets);
	host_set_free(&c->set);
	if (c->override)
		override_host_index(c->override, NULL, 0);
}

static int
read_members(struct cluster *c, const Cluster *msg, struct err *err)
{
	struct assignment m;

	if (assignment_read(&m, msg->load_assignment, err) < 0)
		return err_in(err, "load_assignment");
	c->hosts_n = c->numbers = (uint32_t)m.list.len;
	c->hosts = mem_array(struct host *, m.list.len);
	c->by_number = mem_array(struct host *, m.list.len);
	for (uint32_t i = 0; i < c->hosts_n; i++) {
		c->hosts[i] = c->by_number[i] = host_new(c, &m.list.at[i]);
		c->hosts[i]->index = c->hosts[i]->number = i;
	}
	lb_config_set_members(&c->lb, &m.policy);
	c->policy_of_members = m.policy;
	assignment_fini(&m);
	cluster_make_sets(c);
	return 0;
}

static void
cluster_free(struct cluster *c)
{
	timer_stop(&c->look);
	cluster_free_sets(c);
	subset_config_free(&c->subset_config);
	override_host_free(&c->override);
	hash_policies_free(&c->lb.hash_policies);
	for (uint32_t i = 0; i < c->hosts_n; i++)
		host_unref(&c->hosts[i]);
	mem_free(c->hosts);
	mem_free(c->by_number);
	breakers_fini(&c->breakers[0]);
	breakers_fini(&c->breakers[1]);
	if (c->zone)
		zone_forget(c->zone, c);
	zone_unref(&c->zone);
	mem_free((void *)(uintptr_t)c->stat_prefix.p);
	mem_free((void *)(uintptr_t)c->name.p);
	mem_free(c);
}

/*
 * A host that failed must be able to end in peace: its idle connections
 * close though nobody sends a request, which is when verdicts are looked
 * at otherwise.
 */
static void
on_look(void *arg)
{
	struct cluster *c = arg;

	for (uint32_t i = 0; i < c->hosts_n; i++) {
		struct host *h = c->hosts[i];
		bool unhealthy = host_health(h) == HOST_UNHEALTHY;

		for (unsigned k = 0; k < 2 && unhealthy && !h->was_unhealthy; k++)
			if (h->pool[k])
				pool_drain(h->pool[k]);
		h->was_unhealthy = unhealthy;
	}
	if (c->connections > 0)
		timer_set(c->loop, &c->look, LOOK_MS);
}

/* What an earlier cluster of the name said of a table that this one has not. */
static void
forget_tables(struct cluster_stats *s, const struct lb_policy *policy)
{
	struct stat_gauge *const rings[] = {&s->ring_hash_lb_size,
	    &s->ring_hash_lb_min_hashes_per_host, &s->ring_hash_lb_max_hashes_per_host};
	struct stat_gauge *const maglevs[] = {
	    &s->maglev_lb_min_entries_per_host, &s->maglev_lb_max_entries_per_host};

	for (size_t i = 0; i < ARRAY_LEN(rings); i++)
		if (policy != &lb_ring_hash && rings[i]->raw)
			stat_set(rings[i], 0);
	for (size_t i = 0; i < ARRAY_LEN(maglevs); i++)
		if (policy != &lb_maglev && maglevs[i]->raw)
			stat_set(maglevs[i], 0);
}

int
cluster_build(struct cluster **out, const void *cluster_msg, struct loop *l, struct err *err)
{
	const Cluster *msg = cluster_msg;
	struct cluster *c = mem_new(struct cluster);

	c->refs = 1;
	c->loop = l;
	timer_init(&c->look, on_look, c);
	c->name = str_of(mem_strdup(msg->name));
	find_stats(c, msg);
	read_connection_options(c, msg);
	read_breakers(c, msg);
	outlier_rules_read(&c->outlier, msg);
	c->subset_config = subset_config_read(msg);
	c->override = override_host_read(msg);
	if (cluster_http_read(c, msg, err) < 0 || lb_choose(&c->policy, &c->lb, msg, err) < 0 ||
	    read_members(c, msg, err) < 0) {
		cluster_free(c);
		return err_in(err, "cluster '%s'", msg->name);
	}
	forget_tables(c->stats, c->policy);
	*out = c;
	return 0;
}

/* The siblings themselves are balanced as any other cluster, without regard to zones. */
void
cluster_set_zone(struct cluster *c, struct zone *z)
{
	ASSERT(c->zone == NULL);
	if (z == NULL)
		return;
	c->zone = zone_ref(z);
	if (z->local_name.n && !zone_is_local(z, c->name))
		c->lb.zone = z;
	for (uint32_t i = 0; i < c->hosts_n; i++)
		c->hosts[i]->zone_codes = cluster_zone_codes(c, c->hosts[i]->locality);
	cluster_free_sets(c);
	cluster_make_sets(c);
}

struct cluster_codes_stats *
cluster_zone_codes(const struct cluster *c, const struct locality *l)
{
	struct cluster_codes_stats *codes;
	struct strb prefix = {0};

	if (c->zone == NULL || c->zone->here == NULL || c->zone->here->zone.n == 0 || l == NULL ||
	    l->zone.n == 0)
		return NULL;
	zone_block_prefix(&prefix, c->stat_prefix, c->zone->here->zone, l->zone);
	codes = block_stats(SCOPE_cluster_codes, strb_str(&prefix));
	strb_fini(&prefix);
	return codes;
}

/* ---- references */

struct cluster *
cluster_ref(struct cluster *c)
{
	c->refs++;
	return c;
}

static void
free_when_empty(struct cluster *c)
{
	if (!c->closed || c->connections > 0)
		return;
	upstream_departed--;
	cluster_free(c);
}

static void
close_pools(void *arg)
{
	struct cluster *c = arg;

	for (uint32_t i = 0; i < c->hosts_n; i++)
		for (unsigned k = 0; k < 2; k++)
			if (c->hosts[i]->pool[k])
				pool_close(c->hosts[i]->pool[k]);
	c->closed = true;
	free_when_empty(c);
}

/* From the loop: the last reference may go inside an event of a connection that is to be closed. */
void
cluster_unref(struct cluster **cp)
{
	struct cluster *c = *cp;

	*cp = NULL;
	if (c == NULL || --c->refs > 0)
		return;
	upstream_departed++;
	loop_defer(c->loop, close_pools, c);
}

void
cluster_connection_comes(struct cluster *c)
{
	c->connections++;
	if (!timer_armed(&c->look))
		timer_set(c->loop, &c->look, LOOK_MS);
}

void
cluster_connection_gone(struct cluster *c)
{
	ASSERT(c->connections > 0);
	c->connections--;
	free_when_empty(c);
}

/* ---- members */

struct host *
cluster_pick(struct cluster *c, const struct lb_context *ctx)
{
	struct host *h;

	if (UNLIKELY(c->override)) {
		h = override_host_pick(c->override, ctx);
		if (h)
			return h;
	}
	return c->subsets ? subsets_pick(c->subsets, ctx) : host_set_pick(c->set, ctx);
}

struct cluster_health
cluster_health(const struct cluster *c)
{
	struct cluster_health n = {.total = c->hosts_n};

	for (uint32_t i = 0; i < c->hosts_n; i++) {
		enum host_health h = host_health(c->hosts[i]);

		n.healthy += h == HOST_HEALTHY;
		n.degraded += h == HOST_DEGRADED;
		n.excluded += host_is_excluded(c->hosts[i]);
	}
	return n;
}

uint64_t
cluster_active_requests(struct cluster *c, uint64_t now_ns)
{
	int64_t n = limit_in_use(&c->rq_others, &c->stats->upstream_rq_active, UINT32_MAX, now_ns);

	return n > 0 ? (uint64_t)n : 0;
}

struct host *
cluster_host_at(const struct cluster *c, uint32_t i)
{
	return i < c->hosts_n ? c->hosts[i] : NULL;
}

/* ---- counting responses */

#define COUNT_STATUS(s, status)                                                                    \
	do {                                                                                       \
		stat_inc(&(s)->upstream_rq_completed);                                             \
		switch ((status) / 100) {                                                          \
		case 1:                                                                            \
			stat_inc(&(s)->upstream_rq_1xx);                                           \
			break;                                                                     \
		case 2:                                                                            \
			stat_inc(&(s)->upstream_rq_2xx);                                           \
			break;                                                                     \
		case 3:                                                                            \
			stat_inc(&(s)->upstream_rq_3xx);                                           \
			break;                                                                     \
		case 4:                                                                            \
			stat_inc(&(s)->upstream_rq_4xx);                                           \
			break;                                                                     \
		case 5:                                                                            \
			stat_inc(&(s)->upstream_rq_5xx);                                           \
			break;                                                                     \
		}                                                                                  \
		stat_code(&(s)->upstream_rq, (status));                                            \
	} while (0)

static struct cluster_codes_stats *
origin_codes(struct cluster *c, bool internal)
{
	return c->codes[internal ? CODES_INTERNAL : CODES_EXTERNAL];
}

void
cluster_count_response(
    struct cluster *c, struct host *h, unsigned status, bool dynamic, bool internal, bool canary)
{
	struct cluster_codes_stats *origin = origin_codes(c, internal);

	if (h)
		stat_inc(status >= 500 ? &h->stats->rq_error : &h->stats->rq_success);
	if (!dynamic)
		return;
	COUNT_STATUS(c->stats, status);
	COUNT_STATUS(origin, status);
	if (canary)
		COUNT_STATUS(c->codes[CODES_CANARY], status);
	if (h && h->zone_codes)
		COUNT_STATUS(h->zone_codes, status);
}

void
cluster_count_retried(struct cluster *c, unsigned status, bool dynamic)
{
	if (dynamic)
		COUNT_STATUS(c->codes[CODES_RETRY], status);
}

void
cluster_count_time(struct cluster *c, struct host *h, uint64_t ms, bool dynamic, bool internal,
    bool canary)
{
	if (!dynamic)
		return;
	stat_record(&c->stats->upstream_rq_time, ms);
	stat_record(&origin_codes(c, internal)->upstream_rq_time, ms);
	if (canary)
		stat_record(&c->codes[CODES_CANARY]->upstream_rq_time, ms);
	if (h && h->zone_codes)
		stat_record(&h->zone_codes->upstream_rq_time, ms);
}
