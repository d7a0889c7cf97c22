/* /ready, and the operator's hand on this proxy's own health. */
#include "admin/admin.h"
#include "admin/control.h"
#include "admin/web/endpoints.h"
#include "shm/flags.h"

void
web_ready(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	unsigned state = admin_state(a);

	r->status = state == SERVER_LIVE ? 200 : 503;
	strb_printf(&r->body, "%s\n", admin_state_name(state));
}

void
web_healthcheck_fail(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	control_health(a, true);
	web_reply_text(r, 200, "OK\n");
}

void
web_healthcheck_ok(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	control_health(a, false);
	web_reply_text(r, 200, "OK\n");
}
