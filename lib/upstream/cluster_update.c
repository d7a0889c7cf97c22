#include "lib/upstream/cluster_update.h"

#include "lib/base/assert.h"
#include "lib/base/mem.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/lb_config.h"
#include "lib/upstream/membership.h"
#include "lib/upstream/pool.h"

#define STEP 64 /* entries */

/* A host in force that is to have other values. */
struct host_change {
	struct host *host; /* borrowed */
	struct endpoint endpoint;
};

struct cluster_update {
	struct cluster *cluster;
	struct membership_reader reader;
	bool reading;
	uint64_t serial;
	/* By number: hosts in force are borrowed, new ones owned. */
	struct host **hosts;
	uint32_t numbers;
	VEC(struct host_change) changes;
	struct assignment_policy policy;
};

static struct host *
in_force(const struct cluster *c, uint32_t number)
{
	return number < c->numbers ? c->by_number[number] : NULL;
}

static bool
is_new(const struct cluster_update *u, uint32_t number)
{
	return u->hosts[number] && u->hosts[number] != in_force(u->cluster, number);
}

static void
clear(struct cluster_update *u, uint32_t number)
{
	if (is_new(u, number))
		host_unref(&u->hosts[number]);
	u->hosts[number] = NULL;
}

static void
forget_changes(struct cluster_update *u)
{
	for (size_t i = 0; i < u->changes.len; i++)
		endpoint_fini(&u->changes.at[i].endpoint);
	u->changes.len = 0;
}

static void
start_from_nothing(struct cluster_update *u)
{
	for (uint32_t i = 0; i < u->numbers; i++)
		clear(u, i);
	forget_changes(u);
	u->policy = (struct assignment_policy){.overprovisioning = OVERPROVISIONING};
}

static void
make_room(struct cluster_update *u, uint32_t numbers)
{
	if (numbers <= u->numbers)
		return;
	if (numbers < u->numbers + u->numbers / 4)
		numbers = u->numbers + u->numbers / 4;
	u->hosts = mem_resize(u->hosts, numbers * sizeof(struct host *));
	memset(u->hosts + u->numbers, 0, (numbers - u->numbers) * sizeof(struct host *));
	u->numbers = numbers;
}

/* ---- one entry */

static void
change_later(struct cluster_update *u, struct host *h, const struct endpoint *e)
{
	struct host_change *c = vec_push(&u->changes);

	c->host = h;
	endpoint_copy(&c->endpoint, e);
}

static int
put(struct cluster_update *u, uint32_t number, const struct endpoint *e, struct err *err)
{
	struct host *h;

	if (number >= MEMBERSHIP_NUMBERS)
		return err_set(err, "members: number %u", number);
	make_room(u, number + 1);
	clear(u, number);
	h = in_force(u->cluster, number);
	if (h && address_eq(&h->address, &e->address)) {
		u->hosts[number] = h;
		if (!host_says(h, e))
			change_later(u, h, e);
		return 0;
	}
	h = host_new(u->cluster, e);
	h->number = number;
	u->hosts[number] = h;
	return 0;
}

static int
take_entry(struct cluster_update *u, const struct membership_entry *e, struct err *err)
{
	switch (e->change) {
	case MEMBERSHIP_PUT:
		return put(u, e->number, e->endpoint, err);
	case MEMBERSHIP_REMOVE:
		if (e->number < u->numbers)
			clear(u, e->number);
		return 0;
	case MEMBERSHIP_POLICY:
		u->policy = e->policy;
		return 0;
	}
	return 0;
}

/* ---- records */

static void
end_reading(struct cluster_update *u)
{
	if (u->reading)
		membership_reader_fini(&u->reader);
	u->reading = false;
}

int
cluster_update_record(struct cluster_update *u, struct str bytes, struct err *err)
{
	ASSERT(!u->reading);
	if (membership_open(&u->reader, bytes, err) < 0)
		return -1;
	u->reading = true;
	if (u->reader.to <= u->serial) {
		end_reading(u);
		return 0;
	}
	if (!u->reader.whole && u->reader.from != u->serial) {
		end_reading(u);
		return err_set(err, "members: a record is missing");
	}
	if (u->reader.whole)
		start_from_nothing(u);
	return 0;
}

int
cluster_update_step(struct cluster_update *u, struct err *err)
{
	struct membership_entry e = {0};
	int more = u->reading;

	for (unsigned i = 0; i < STEP && more > 0; i++) {
		more = membership_next(&u->reader, &e, err);
		if (more > 0 && take_entry(u, &e, err) < 0)
			return -1;
	}
	if (more == 0 && u->reading) {
		u->serial = u->reader.to;
		end_reading(u);
	}
	return more;
}

/* ---- in force */

static void
drain_pools(struct host *h)
{
	for (unsigned i = 0; i < 2; i++)
		if (h->pool[i])
			pool_drain(h->pool[i]);
}

static void
leave(struct host *h)
{
	h->removed = true;
	drain_pools(h);
	host_departs(h);
	host_unref(&h);
}

/* Those of the cluster that the update has no more; draining may free them.  Gives their number. */
static uint32_t
let_others_go(struct cluster_update *u, struct host **old, uint32_t old_n)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < old_n; i++) {
		uint32_t number = old[i]->number;

		if (number < u->numbers && u->hosts[number] == old[i])
			continue;
		leave(old[i]);
		n++;
	}
	return n;
}

static uint32_t
dense(const struct cluster_update *u, struct host ***out)
{
	struct host **list = mem_array(struct host *, u->numbers ? u->numbers : 1);
	uint32_t n = 0;

	for (uint32_t i = 0; i < u->numbers; i++) {
		if (u->hosts[i] == NULL)
			continue;
		u->hosts[i]->index = n;
		list[n++] = u->hosts[i];
	}
	*out = list;
	return n;
}

/* The hosts' indexes belong to the new set; nobody picks before it is there. */
void
cluster_update_use(struct cluster_update *u)
{
	struct cluster *c = u->cluster;
	struct host **old = c->hosts;
	uint32_t old_n = c->hosts_n, came, went;

	ASSERT(!u->reading);
	if (u->serial == c->members_serial)
		return;
	for (size_t i = 0; i < u->changes.len; i++)
		host_update(u->changes.at[i].host, &u->changes.at[i].endpoint);
	forget_changes(u);
	cluster_free_sets(c);
	c->hosts_n = dense(u, &c->hosts);
	mem_free(c->by_number);
	c->by_number = u->hosts;
	c->numbers = u->numbers;
	c->policy_of_members = u->policy;
	lb_config_set_members(&c->lb, &u->policy);
	c->members_serial = u->serial;
	cluster_make_sets(c);
	went = let_others_go(u, old, old_n);
	came = c->hosts_n - (old_n - went);
	for (uint32_t i = 0; c->close_on_host_change && came + went > 0 && i < c->hosts_n; i++)
		drain_pools(c->hosts[i]);
	mem_free(old);
	u->hosts = NULL;
	u->numbers = 0;
}

struct cluster_update *
cluster_update_new(struct cluster *c)
{
	struct cluster_update *u = mem_new(struct cluster_update);

	u->cluster = c;
	u->serial = c->members_serial;
	u->policy = c->policy_of_members;
	make_room(u, c->numbers);
	if (c->numbers)
		memcpy(u->hosts, c->by_number, c->numbers * sizeof(struct host *));
	return u;
}

void
cluster_update_free(struct cluster_update **up)
{
	struct cluster_update *u = *up;

	*up = NULL;
	if (u == NULL)
		return;
	end_reading(u);
	for (uint32_t i = 0; i < u->numbers; i++)
		clear(u, i);
	forget_changes(u);
	vec_fini(&u->changes);
	mem_free(u->hosts);
	mem_free(u);
}
