/* /init_dump: clusters that start-up or a reload waits for.  /contention: there are no locks. */
#include "admin/admin.h"
#include "admin/web/endpoints.h"
#include "lib/base/json_out.h"

static void
write_target(struct json_out *j, const struct member_cluster *c)
{
	struct strb name = {0};

	strb_printf(&name, "target Cluster " STR_FMT, STR_ARG(c->name));
	json_string(j, strb_str(&name));
	strb_fini(&name);
}

static void
write_targets(struct json_out *j, const struct members *m)
{
	bool begun = false;

	for (size_t i = 0; i < m->clusters.len; i++) {
		if (m->clusters.at[i]->warming == 0)
			continue;
		if (!begun) {
			json_keyz(j, "unready_targets_dumps");
			json_array(j);
			json_object(j);
			json_keyz(j, "name");
			json_stringz(j, "init manager Server");
			json_keyz(j, "target_names");
			json_array(j);
		}
		begun = true;
		write_target(j, m->clusters.at[i]);
	}
	for (unsigned i = 0; begun && i < 3; i++)
		json_end(j);
}

void
web_init_dump(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	struct json_out j;

	r->type = WEB_JSON;
	json_out_init(&j, &r->body, true);
	json_object(&j);
	if (!web_has(q, "mask") || str_contains(web_get(q, "mask"), STR("unready_targets_dumps")))
		write_targets(&j, &a->members);
	json_end(&j);
	strb_addc(&r->body, '\n');
}

void
web_contention(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	web_reply_text(r, 200, "Mutex contention tracing is not enabled. To enable, run Envoy with flag "
			       "--enable-mutex-tracing.");
}
