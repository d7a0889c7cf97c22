/* /drain_listeners and /quitquitquit: orders to others, given and confirmed. */
#include "admin/admin.h"
#include "admin/web/endpoints.h"

void
web_drain_listeners(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	bool graceful = web_has(q, "graceful"), skip_exit = web_has(q, "skip_exit");
	struct message m;

	if (skip_exit && !graceful) {
		web_reply_text(r, 400, "skip_exit requires graceful\n");
		return;
	}
	message_init(&m, MSG_DRAIN_LISTENERS);
	m.seat = SEAT_ALL;
	message_u(&m, graceful);
	message_u(&m, web_has(q, "inboundonly"));
	message_u(&m, skip_exit);
	admin_send(a, &m);
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
