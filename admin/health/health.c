#include "admin/health/health.h"

#include "admin/admin.h"
#include "admin/health/checker.h"
#include "admin/health/outlier.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

struct health {
	struct admin *a;
	struct checks checks;
	struct flush recount; /* of membership gauges, once a turn */
};

typedef Envoy__Config__Cluster__V3__Cluster Cluster;

static void
recount(void *arg)
{
	struct health *h = arg;

	members_count(&h->a->members);
}

/* ---- from the checkers */

static void
on_verdict(void *arg, void *owner, enum verdict_change change)
{
	struct health *h = arg;

	struct member *x = owner;

	/* A host on its way to failing, or still failed, has not passed. */
	if (change != VERDICT_PENDING && !(host_cell_flags(x->cell) & HOST_FAILED_ACTIVE_HC))
		outliers_check_passed(h->a->outliers, x);
	if (change != VERDICT_CHANGED)
		return;
	loop_flush(h->a->loop, &h->recount);
	members_checked(&h->a->members, owner); /* the member may be gone after this */
}

static void
on_first(void *arg, void *owner)
{
	struct health *h = arg;
	struct member *x = owner;

	members_let_go(&h->a->members, x->cluster);
}

static const struct checks_events checks_events = {on_verdict, on_first};

/* ---- from the members */

static bool
is_checked(const struct member *x)
{
	return x->cluster->check && !(x->endpoint.check && x->endpoint.check->disabled);
}

static void
begin_check(struct member *x, bool in_use)
{
	const struct endpoint_check *said = x->endpoint.check;
	struct check_target t = {
	    .address = x->endpoint.address,
	    .ask = said && said->address.len ? said->address : x->endpoint.address,
	    .cell = x->cell,
	    .in_use = in_use,
	    .awaited = x->cluster->warming > 0,
	    .owner = x,
	};

	if (said && said->hostname)
		t.hostname = said->hostname->text;
	if (x->endpoint.locality) {
		t.region = x->endpoint.locality->region;
		t.zone = x->endpoint.locality->zone;
		t.sub_zone = x->endpoint.locality->sub_zone;
	}
	checker_place(x->cluster->check, &t, said ? said->port : 0);
	x->check = checker_add(x->cluster->check, &t);
	x->checked = true;
	if (check_is_awaited(x->check))
		members_hold(x->cluster);
}

static void
end_check(struct member *x, bool forget)
{
	struct check *k = x->check;

	check_free(&k, forget);
	x->check = NULL;
	x->checked = false;
}

static void
on_added(void *arg, struct member *x)
{
	if (is_checked(x))
		begin_check(x, false);
}

static void
on_removed(void *arg, struct member *x)
{
	end_check(x, true);
}

static bool
same_place(const struct endpoint *a, const struct endpoint *b)
{
	return endpoint_check_same(a->check, b->check) && a->locality == b->locality;
}

/* Whoever is asked elsewhere keeps its verdict until the next answer. */
static void
on_changed(void *arg, struct member *x, const struct endpoint *before)
{
	if (same_place(&x->endpoint, before))
		return;
	end_check(x, !is_checked(x));
	if (is_checked(x))
		begin_check(x, true);
}

static bool
hides_new(const Cluster *m)
{
	return m->common_lb_config && m->common_lb_config->ignore_new_hosts_until_first_hc;
}

static void
open_checker(struct health *h, struct member_cluster *c)
{
	struct checker_source src = {
	    .cluster = c->name,
	    .prefix = c->prefix,
	    .traffic = c->stats,
	};
	struct err err = {""};

	if (c->message->n_health_checks == 0)
		return;
	src.message = c->message->health_checks[0];
	src.hide_new = hides_new(c->message);
	c->check = checker_new(&h->checks, &src, &err);
	if (c->check == NULL)
		log_error(LOG_HEALTH_CHECKER, "%s: its hosts are not checked", err.text);
}

static bool
does_that_already(const struct member_cluster *c)
{
	struct checker_source src = {.cluster = c->name, .prefix = c->prefix};

	if (c->message->n_health_checks == 0 || c->check == NULL)
		return c->message->n_health_checks == 0 && c->check == NULL;
	src.message = c->message->health_checks[0];
	src.hide_new = hides_new(c->message);
	return checker_is(c->check, &src);
}

static void
on_cluster_added(void *arg, struct member_cluster *c)
{
	open_checker(arg, c);
}

static void
close_checker(struct member_cluster *c)
{
	struct checker *k = c->check;

	checker_free(&k);
	c->check = NULL;
}

/* Checks begin anew by other rules; verdicts stay as long as there are checks at all. */
static void
on_cluster_changed(void *arg, struct member_cluster *c)
{
	struct health *h = arg;
	bool forget = c->message->n_health_checks == 0;

	if (does_that_already(c))
		return;
	for (size_t i = 0; i < c->members.len; i++)
		end_check(c->members.at[i], forget);
	close_checker(c);
	open_checker(h, c);
	for (size_t i = 0; i < c->members.len; i++)
		if (is_checked(c->members.at[i]))
			begin_check(c->members.at[i], true);
}

static void
on_cluster_removed(void *arg, struct member_cluster *c)
{
	close_checker(c);
}

static const struct members_events members_events = {
    .cluster_added = on_cluster_added,
    .cluster_changed = on_cluster_changed,
    .cluster_removed = on_cluster_removed,
    .added = on_added,
    .changed = on_changed,
    .removed = on_removed,
};

/* ---- life */

struct health *
health_new(struct admin *a)
{
	struct health *h = mem_new(struct health);

	h->a = a;
	h->recount.fn = recount;
	h->recount.arg = h;
	checks_init(&h->checks, a->loop, &checks_events, h);
	members_observe(&a->members, &members_events, h);
	return h;
}

void
health_free(struct health **hp)
{
	struct health *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	flush_cancel(&h->recount);
	checks_fini(&h->checks);
	mem_free(h);
}

void
health_attach(struct health *h)
{
	h->checks.delay = &h->a->stats.baton->check_delay_ms;
}

void
health_on_wait(struct health *h)
{
	checks_on_wait(&h->checks);
}

int
health_try_logs(struct health *h, const struct store *s, struct err *err)
{
	for (size_t i = 0; i < s->clusters.len; i++) {
		const Cluster *c = s->clusters.at[i].message;

		if (c->n_health_checks &&
		    checker_try_logs(&h->checks, c->health_checks[0], err) < 0)
			return err_in(err, "cluster '%s': health_checks", c->name);
	}
	return 0;
}

void
health_reopen_logs(struct health *h)
{
	event_logs_reopen(&h->checks.logs);
}
