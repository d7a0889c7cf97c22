/* /init_dump: a listener that serves waits for nothing.  /contention: there are no locks. */
#include "admin/web/endpoints.h"

void
web_init_dump(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	r->type = WEB_JSON;
	web_reply_text(r, 200, "{}\n");
}

void
web_contention(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	web_reply_text(r, 200, "Mutex contention tracing is not enabled. To enable, run Envoy with flag "
			       "--enable-mutex-tracing.");
}
