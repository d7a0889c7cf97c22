/* The attempts of a request: made, chosen among, counted for those who want to know. */
#include "worker/router/router_private.h"

static void
reply_no_host(struct router *r)
{
	stat_inc(&r->cluster->stats->upstream_cx_none_healthy);
	router_charge(r, NULL, 503);
	router_reply(r, &(struct router_reply){
			    .status = 503,
			    .body = STR("no healthy upstream"),
			    .flag = FLAG_UH,
			    .details = STR("no_healthy_upstream"),
			});
}

static struct upstream_request *
new_attempt(struct router *r)
{
	struct upstream_request *u =
	    r->latest ? arena_new(&r->stream->arena, struct upstream_request) : &r->first;

	u->older = r->latest;
	r->attempt = r->latest = u;
	return u;
}

static void
note_tried(struct router *r, struct host *h)
{
	struct host **more;

	if (r->tried_n == r->tried_room) {
		r->tried_room = r->tried_room ? 2 * r->tried_room : 4;
		more = arena_alloc(&r->stream->arena, r->tried_room * sizeof(*more));
		for (unsigned i = 0; i < r->tried_n; i++)
			more[i] = r->tried[i];
		r->tried = more;
	}
	r->tried[r->tried_n++] = h;
}

static struct host *
pick(struct router *r)
{
	struct lb_context ctx = {
	    .request = r->request,
	    .hash = r->hash,
	    .has_hash = r->has_hash,
	    .criteria = r->route->policy->criteria,
	};

	if (r->retry && r->tried_n)
		retry_choose(r->retry, &ctx);
	return cluster_pick(r->cluster, &ctx);
}

bool
router_has_another_host(struct router *r)
{
	const struct host *h = pick(r);

	for (unsigned i = 0; i < r->tried_n; i++)
		if (r->tried[i] == h)
			return false;
	return h != NULL;
}

void
router_try(struct router *r, bool fresh)
{
	struct stream_info *info = &r->stream->info;
	struct host *h = pick(r);

	if (h == NULL) {
		reply_no_host(r);
		return;
	}
	info->upstream = &h->address;
	if (r->retry)
		note_tried(r, h);
	upstream_request_start(new_attempt(r), r, h, r->route->policy->high_priority, fresh);
}

/* x-envoy-attempt-count, for the host. */
void
router_say_attempt(struct router *r)
{
	if (r->route->policy->attempts.count_in_request)
		headers_set_number(r->request, HDR_X_ENVOY_ATTEMPT_COUNT, r->stream->info.attempts);
}

void
router_try_again(struct router *r, bool timed_out)
{
	r->stream->info.attempts++;
	r->stream->info.transport_failure = (struct str){0};
	router_say_attempt(r);
	if (r->route->policy->attempts.is_timeout_retry)
		headers_set_id(r->request, HDR_X_ENVOY_IS_TIMEOUT_RETRY,
		    timed_out ? STR("true") : STR("false"));
	router_say_expected(r);
	router_try(r, false);
}

bool
router_may_be_answered(const struct router *r, const struct upstream_request *but)
{
	if (r->retry && r->retry->pending)
		return true;
	for (const struct upstream_request *u = r->latest; u; u = u->older)
		if (u != but && upstream_request_is_awaited(u))
			return true;
	return false;
}

void
router_settle_on(struct router *r, struct upstream_request *u)
{
	if (r->retry)
		retry_end(&r->retry);
	for (struct upstream_request *v = r->latest; v; v = v->older)
		if (v != u)
			upstream_request_cancel(v);
	if (r->attempt != u)
		router_on_upstream_blocked(r, false);
	r->attempt = u;
}
