/* /listeners: names and the addresses they are bound to. */
#include "admin/admin.h"
#include "admin/web/endpoints.h"
#include "admin/web/json.h"

static void
listeners_json(const struct admin *a, struct strb *out)
{
	struct json_out j;

	json_out_init(&j, out, true);
	json_object(&j);
	json_keyz(&j, "listener_statuses");
	json_array(&j);
	for (size_t i = 0; i < a->store.listeners.len; i++) {
		json_object(&j);
		json_field_str(&j, "name", a->store.listeners.at[i].name);
		json_field_address(&j, "local_address", a->store.listeners.at[i].bound);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	strb_addc(out, '\n');
}

void
web_listeners(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	if (str_eqz(web_get(q, "format"), "json")) {
		r->type = WEB_JSON;
		listeners_json(a, &r->body);
		return;
	}
	for (size_t i = 0; i < a->store.listeners.len; i++)
		strb_printf(&r->body, STR_FMT "::" STR_FMT "\n", STR_ARG(a->store.listeners.at[i].name),
		    STR_ARG(a->store.listeners.at[i].bound));
}
