/* /runtime: there are no layers yet, so nothing can be changed. */
#include "admin/web/endpoints.h"

void
web_runtime(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	r->type = WEB_JSON;
	web_reply_text(r, 200, "{\n \"layers\": [],\n \"entries\": {}\n}\n");
}

void
web_runtime_modify(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	if (q->params.len == 0)
		web_reply_text(r, 400, "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n"
				       "       or send the parameters as form values\n"
				       "use an empty value to remove a previously added override");
	else
		web_reply_text(r, 503, "No admin layer specified");
}
