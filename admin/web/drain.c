/* /drain_listeners and /quitquitquit: orders to others, given and confirmed. */
#include "admin/admin.h"
#include "admin/web/endpoints.h"

static void
count_stopped(struct admin *a, bool inbound_only)
{
	for (size_t i = 0; i < a->store.listeners.len; i++)
		if (!inbound_only || a->store.listeners.at[i].message->traffic_direction ==
					 ENVOY__CONFIG__CORE__V3__TRAFFIC_DIRECTION__INBOUND)
			stat_inc(&a->stats.listener_manager->listener_stopped);
}

void
web_drain_listeners(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	bool graceful = web_has(q, "graceful"), skip_exit = web_has(q, "skip_exit");
	unsigned asked = web_has(q, "inboundonly") ? DRAINED_INBOUND : DRAINED_ALL;
	struct message m;

	if (!web_reaches_workers(a, r))
		return;
	if (graceful && a->listeners_drained >= asked) { /* its window has begun */
		web_reply_text(r, 200, "OK\n");
		return;
	}
	if (a->listeners_drained < asked)
		a->listeners_drained = asked;
	message_init(&m, MSG_DRAIN_LISTENERS);
	m.seat = SEAT_ALL;
	message_u(&m, graceful);
	message_u(&m, web_has(q, "inboundonly"));
	message_u(&m, skip_exit);
	admin_send(a, &m);
	if (!skip_exit)
		count_stopped(a, web_has(q, "inboundonly"));
	web_reply_text(r, 200, "OK\n");
}

static void
quit(struct admin *a)
{
	struct message m;

	if (a->channel == NULL) { /* an orphan ends itself */
		admin_stop(a, 0);
		return;
	}
	message_init(&m, MSG_QUIT);
	admin_send(a, &m);
}

void
web_quitquitquit(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	web_reply_text(r, 200, "OK\n");
	r->after = quit;
}
