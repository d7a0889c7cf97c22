/* /certs: no transport socket has certificates yet. */
#include "admin/web/endpoints.h"

void
web_certs(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	r->type = WEB_JSON;
	web_reply_text(r, 200, "{\n \"certificates\": []\n}\n");
}
