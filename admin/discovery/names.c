#include "admin/discovery/names.h"

#include "admin/config/address.h"
#include "admin/config/names.h"
#include "admin/discovery/members.h"
#include "admin/discovery/resolvers.h"
#include "conf/message.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"

typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints Locality;
typedef Envoy__Config__Endpoint__V3__LbEndpoint LbEndpoint;
typedef Envoy__Config__Endpoint__V3__Endpoint Endpoint;
typedef Envoy__Config__Core__V3__Address Address;
typedef Envoy__Config__Core__V3__SocketAddress SocketAddress;

/* Other names are waited for that long after the first answer. */
#define PATIENCE_MS 1000

struct names {
	struct loop *loop;
	struct members *members;
	struct resolvers resolvers;
	struct map clusters; /* name → struct named */
	struct dns_cares_stats *stats; /* NULL before the first cluster */
};

/* One cluster. */
struct named {
	struct names *names;
	struct member_cluster *cluster;
	struct arena arena; /* of the assignment: the store it came from may go */
	struct names_config config;
	struct dns *dns; /* shared; NULL: it could not start */
	VEC(struct target *) targets;
	struct timer patience;
	bool waiting; /* for the rest of its first answers */
	unsigned held; /* answers that came meanwhile */
};

/* One name in it. */
struct target {
	struct named *of;
	const LbEndpoint *endpoint; /* in the arena */
	struct dns_question *question;
	struct timer again;
	VEC(struct address) at; /* of the last good answer */
	bool answered;          /* there was one */
	bool tried;             /* or a failure */
	bool failing;           /* the last time */
	uint64_t back_off_ms;   /* of the next failure; 0: the base */
};

static const SocketAddress *
socket_address(const struct target *t)
{
	return t->endpoint->endpoint->address->socket_address;
}

/* What its members are called. */
static const char *
hostname(const struct target *t)
{
	const Endpoint *e = t->endpoint->endpoint;

	return e->hostname[0] ? e->hostname : socket_address(t)->address;
}

/* ---- what the cluster has already, from another process or generation */

static bool
is_of(const struct member *x, const struct target *t)
{
	return !x->leaving && str_eqz(endpoint_hostname(&x->endpoint), hostname(t)) &&
	    address_port(&x->endpoint.address) == socket_address(t)->port_value;
}

/* Members that are there before the first answer count as one. */
static void
take_present(struct target *t)
{
	const struct member_cluster *c = t->of->cluster;

	if (t->answered)
		return;
	t->at.len = 0;
	for (size_t i = 0; i < c->members.len; i++)
		if (is_of(c->members.at[i], t))
			*vec_push(&t->at) = c->members.at[i]->endpoint.address;
	if (t->of->config.logical && t->at.len > 1)
		t->at.len = 1;
}

/* ---- the assignment with addresses: shares what does not change with the one of names */

static LbEndpoint *
endpoint_at(struct arena *a, const struct target *t, const struct address *at)
{
	LbEndpoint *copy = arena_new(a, LbEndpoint);
	Endpoint *endpoint = arena_new(a, Endpoint);
	Address *address = arena_new(a, Address);
	SocketAddress *s = arena_new(a, SocketAddress);
	char ip[ADDRESS_TEXT];
	size_t n = address_format_ip(at, ip);

	*s = *socket_address(t);
	s->address = arena_dup(a, ip, n);
	*address = *t->endpoint->endpoint->address;
	address->socket_address = s;
	*endpoint = *t->endpoint->endpoint;
	endpoint->address = address;
	endpoint->hostname = (char *)(uintptr_t)hostname(t);
	*copy = *t->endpoint;
	copy->endpoint = endpoint;
	return copy;
}

/* Targets stand in the order of their endpoints: the next one, if it is this endpoint's. */
static const struct target *
target_of(const struct named *n, size_t *next, const LbEndpoint *e)
{
	if (*next < n->targets.len && n->targets.at[*next]->endpoint == e)
		return n->targets.at[(*next)++];
	return NULL;
}

static size_t
room_in(const struct named *n, size_t next, const Locality *l)
{
	size_t room = 0;

	for (size_t i = 0; i < l->n_lb_endpoints; i++) {
		const struct target *t = target_of(n, &next, l->lb_endpoints[i]);

		room += t ? t->at.len : 1;
	}
	return room;
}

static Locality *
locality_now(struct arena *a, const struct named *n, size_t *next, const Locality *l)
{
	Locality *copy = arena_new(a, Locality);
	size_t count = 0;

	*copy = *l;
	copy->lb_endpoints = arena_zalloc(a, (room_in(n, *next, l) + 1) * sizeof(LbEndpoint *));
	for (size_t i = 0; i < l->n_lb_endpoints; i++) {
		const struct target *t = target_of(n, next, l->lb_endpoints[i]);

		if (t == NULL)
			copy->lb_endpoints[count++] = l->lb_endpoints[i];
		for (size_t k = 0; t && k < t->at.len; k++)
			copy->lb_endpoints[count++] = endpoint_at(a, t, &t->at.at[k]);
	}
	copy->n_lb_endpoints = count;
	if (n->config.logical)
		copy->priority = 0;
	return copy;
}

static Assignment *
assignment_now(struct arena *a, const struct named *n)
{
	const Assignment *names = n->config.assignment;
	Assignment *all = arena_new(a, Assignment);
	size_t next = 0;

	*all = *names;
	all->endpoints = arena_zalloc(a, (names->n_endpoints + 1) * sizeof(Locality *));
	for (size_t i = 0; i < names->n_endpoints; i++)
		all->endpoints[i] = locality_now(a, n, &next, names->endpoints[i]);
	return all;
}

/* The model follows the answers. */
static void
settle(struct named *n)
{
	struct member_cluster *c = n->cluster;
	struct arena a;
	struct err err = {""};

	timer_stop(&n->patience);
	n->waiting = false;
	stat_add(&c->stats->update_success, n->held > 1 ? n->held - 1 : 0); /* the model counts one */
	n->held = 0;
	for (size_t i = 0; i < n->targets.len; i++)
		take_present(n->targets.at[i]);
	arena_init(&a);
	if (members_replace(n->names->members, c, assignment_now(&a, n), &err) < 0) {
		stat_inc(&c->stats->update_failure);
		log_error(LOG_UPSTREAM, "cluster '" STR_FMT "': %s", STR_ARG(c->name), err.text);
		members_give_up(n->names->members, c);
	}
	arena_fini(&a);
}

static void
on_patience(void *arg)
{
	settle(arg);
}

/* ---- answers */

static void
count(struct names *n, const struct dns_found *f)
{
	stat_down(&n->stats->pending_resolutions);
	stat_add(&n->stats->timeouts, f->timeouts);
	if (f->failed)
		stat_inc(&n->stats->get_addr_failure);
	else if (f->n == 0)
		stat_inc(&n->stats->not_found);
}

static bool
all_were_tried(const struct named *n, bool *any)
{
	bool all = true;

	*any = false;
	for (size_t i = 0; i < n->targets.len; i++) {
		all = all && n->targets.at[i]->tried;
		*any |= n->targets.at[i]->answered;
	}
	return all;
}

/* Something is known of one name: is it enough? */
static void
look(struct named *n)
{
	bool any, all = all_were_tried(n, &any);

	if (n->waiting && all && any) {
		settle(n);
	} else if (n->waiting && all) {
		n->waiting = false;
		members_give_up(n->names->members, n->cluster);
	} else if (n->waiting && any && !timer_armed(&n->patience)) {
		timer_set(n->names->loop, &n->patience, PATIENCE_MS);
	}
}

/* A logical host stays where it is while that is one of the answers: the order of answers turns. */
static void
take_one(struct target *t, const struct dns_found *f)
{
	struct address now = f->at[0];

	take_present(t);
	for (size_t i = 0; t->at.len && i < f->n; i++)
		if (address_eq(&f->at[i], &t->at.at[0]))
			now = f->at[i];
	t->at.len = 0;
	*vec_push(&t->at) = now;
}

static bool
has_address(const struct target *t, const struct address *a)
{
	for (size_t i = 0; i < t->at.len; i++)
		if (address_eq(&t->at.at[i], a))
			return true;
	return false;
}

/* What is known already, in whatever order. */
static bool
is_no_news(const struct target *t, const struct dns_found *f)
{
	if (!t->answered || (t->of->config.logical ? t->at.len != 1 : t->at.len != f->n))
		return false;
	if (t->of->config.logical) {
		for (size_t i = 0; i < f->n; i++)
			if (address_eq(&t->at.at[0], &f->at[i]))
				return true;
		return false;
	}
	for (size_t i = 0; i < f->n; i++)
		if (!has_address(t, &f->at[i]))
			return false;
	return true;
}

static void
take_answer(struct target *t, const struct dns_found *f)
{
	if (t->of->config.logical) {
		take_one(t, f);
	} else {
		t->at.len = 0;
		for (size_t i = 0; i < f->n; i++)
			*vec_push(&t->at) = f->at[i];
	}
	if (t->failing || !t->answered)
		log_info(LOG_UPSTREAM, "cluster '" STR_FMT "': '%s' has %zu address(es)",
		    STR_ARG(t->of->cluster->name), socket_address(t)->address, f->n);
	t->answered = true;
	t->failing = false;
	t->back_off_ms = 0;
}

static void
note_failure(struct target *t, const char *why)
{
	const struct member_cluster *c = t->of->cluster;

	stat_inc(&c->stats->update_failure);
	take_present(t);
	if (t->failing)
		log_debug(LOG_UPSTREAM, "cluster '" STR_FMT "': '%s' could not be resolved (%s)",
		    STR_ARG(c->name), socket_address(t)->address, why);
	else
		log_warning(LOG_UPSTREAM, "cluster '" STR_FMT "': '%s' could not be resolved (%s); it keeps its %zu address(es) and is asked again",
		    STR_ARG(c->name), socket_address(t)->address, why, t->at.len);
	t->failing = true;
}

static uint64_t
after_answer_ms(const struct target *t, uint32_t ttl_s)
{
	const struct names_config *c = &t->of->config;
	uint64_t ms = c->refresh_ms;

	if (c->respect_ttl && ttl_s)
		ms = (uint64_t)ttl_s * 1000 > c->ttl_least_ms ? (uint64_t)ttl_s * 1000 : c->ttl_least_ms;
	return ms + (c->jitter_ms ? rand_below(c->jitter_ms) : 0);
}

/* Anywhere below a limit that doubles with each failure. */
static uint64_t
after_failure_ms(struct target *t)
{
	const struct names_config *c = &t->of->config;
	uint64_t limit = t->back_off_ms ? t->back_off_ms : c->failure_base_ms;

	if (c->failure_base_ms == 0)
		return c->refresh_ms;
	t->back_off_ms = limit * 2 < c->failure_max_ms ? limit * 2 : c->failure_max_ms;
	return 1 + rand_below(limit);
}

static void
on_answer(void *arg, const struct dns_found *f)
{
	struct target *t = arg;
	struct named *n = t->of;
	struct cluster_stats *stats = n->cluster->stats;
	bool failed = f->failed || (n->config.logical && f->n == 0);
	bool news = !failed && !is_no_news(t, f);

	if (t->question)
		count(n->names, f);
	t->question = NULL;
	t->tried = true;
	if (failed)
		note_failure(t, f->why);
	else
		take_answer(t, f);
	timer_set(n->names->loop, &t->again,
	    failed ? after_failure_ms(t) : after_answer_ms(t, f->ttl_s));
	if (n->waiting) {
		n->held += !failed;
		look(n);
	} else if (news) { /* several at once are one change */
		n->held++;
		if (!timer_armed(&n->patience))
			timer_set(n->names->loop, &n->patience, 1);
	} else if (!failed) {
		stat_inc(&stats->update_success);
		stat_inc(&stats->update_no_rebuild);
	}
}

/* ---- asking */

static void
ask(struct target *t)
{
	struct named *n = t->of;
	const SocketAddress *s = socket_address(t);
	struct dns_found nothing = {.failed = true};
	struct err err = {""};

	stat_inc(&n->cluster->stats->update_attempt);
	if (n->dns == NULL)
		n->dns = resolvers_take(
		    &n->names->resolvers, n->names->loop, &n->config.resolver, &err);
	if (n->dns == NULL) {
		nothing.why = err.text;
		on_answer(t, &nothing);
		return;
	}
	stat_inc(&n->names->stats->resolve_total);
	stat_up(&n->names->stats->pending_resolutions);
	t->question = dns_resolve(n->dns, str_of(s->address), (uint16_t)s->port_value,
	    n->config.family, on_answer, t);
}

static void
on_again(void *arg)
{
	ask(arg);
}

/* ---- clusters come and go */

static void
add_target(struct named *n, const LbEndpoint *e)
{
	struct target *t;

	if (e->endpoint == NULL || address_name(e->endpoint->address) == NULL)
		return;
	t = mem_new(struct target);
	t->of = n;
	t->endpoint = e;
	timer_init(&t->again, on_again, t);
	*vec_push(&n->targets) = t;
}

static void
read_config(struct named *n)
{
	const struct names_config *c = n->cluster->names;
	const ProtobufCMessageDescriptor *d =
	    &envoy__config__endpoint__v3__cluster_load_assignment__descriptor;
	struct strb packed = {0};

	n->config = *c;
	if (c->assignment)
		message_pack(&c->assignment->base, &packed);
	n->config.assignment = (void *)message_unpack(&n->arena, d, strb_str(&packed), NULL);
	strb_fini(&packed);
	for (size_t i = 0; i < n->config.assignment->n_endpoints; i++) {
		const Locality *l = n->config.assignment->endpoints[i];

		for (size_t k = 0; k < l->n_lb_endpoints; k++)
			add_target(n, l->lb_endpoints[k]);
	}
}

static void
target_free(struct target *t)
{
	if (t->question)
		stat_down(&t->of->names->stats->pending_resolutions);
	dns_cancel(&t->question);
	timer_stop(&t->again);
	vec_fini(&t->at);
	mem_free(t);
}

static void
named_free(struct named **np)
{
	struct named *n = *np;

	*np = NULL;
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->targets.len; i++)
		target_free(n->targets.at[i]);
	vec_fini(&n->targets);
	timer_stop(&n->patience);
	if (n->dns)
		resolvers_give_back(&n->names->resolvers, &n->dns);
	arena_fini(&n->arena);
	mem_free(n);
}

/* Of the same name: what was found stays until there is an answer. */
static void
take_over(struct target *t, struct named *from)
{
	for (size_t i = 0; i < from->targets.len; i++) {
		struct target *x = from->targets.at[i];

		if (strcmp(socket_address(x)->address, socket_address(t)->address) != 0 || !x->answered)
			continue;
		t->at.len = 0;
		for (size_t k = 0; k < x->at.len; k++) {
			*vec_push(&t->at) = x->at.at[k];
			address_set_port(&t->at.at[k], (uint16_t)socket_address(t)->port_value);
		}
		t->answered = true;
		return;
	}
}

/* Members may not change from within the event: a cluster without any name settles a turn later. */
static void
begin(struct named *n)
{
	n->waiting = true;
	if (n->targets.len == 0)
		timer_set(n->names->loop, &n->patience, 0);
	for (size_t i = 0; i < n->targets.len; i++)
		ask(n->targets.at[i]);
}

static void
find_stats(struct names *n)
{
	struct err err = {""};

	if (n->stats)
		return;
	if (block_publish(n->members->segment, SCOPE_dns_cares, STR("dns.cares."), &err) < 0)
		log_warning(LOG_STATS, "dns.cares: %s", err.text);
	n->stats = block_stats(SCOPE_dns_cares, STR("dns.cares."));
	stat_set(&n->stats->pending_resolutions, 0); /* what another admin asked is not answered */
}

static void
cluster_added(void *arg, struct member_cluster *c)
{
	struct names *names = arg;
	struct named *n, *before = map_remove(&names->clusters, c->name);

	if (c->names) {
		find_stats(names);
		n = mem_new(struct named);
		n->names = names;
		n->cluster = c;
		arena_init(&n->arena);
		timer_init(&n->patience, on_patience, n);
		read_config(n);
		for (size_t i = 0; before && i < n->targets.len; i++)
			take_over(n->targets.at[i], before);
		map_put(&names->clusters, c->name, n);
		begin(n);
	}
	named_free(&before);
}

static void
cluster_removed(void *arg, struct member_cluster *c)
{
	struct names *names = arg;
	struct named *n = map_remove(&names->clusters, c->name);

	named_free(&n);
}

static const struct members_events events = {
    .cluster_added = cluster_added,
    .cluster_changed = cluster_added,
    .cluster_removed = cluster_removed,
};

struct names *
names_new(struct loop *l, struct members *m)
{
	struct names *n = mem_new(struct names);

	n->loop = l;
	n->members = m;
	members_observe(m, &events, n);
	return n;
}

void
names_free(struct names **np)
{
	struct names *n = *np;

	*np = NULL;
	if (n == NULL)
		return;
	map_fini(&n->clusters);
	mem_free(n);
}
