/* /server_info, /memory, /hot_restart_version: what runs here. */
#include "admin/admin.h"
#include "admin/web/endpoints.h"
#include "admin/web/json.h"
#include "conf/dump.h"
#include "lib/base/log.h"
#include "shm/flags.h"

/* <revision>/<version>/<state of the tree>/<build>/<tls library>: people split it at the slashes. */
#define VERSION "baton/" BATON_VERSION "/Clean/RELEASE/OpenSSL"

static const char *
mode_name(enum run_mode mode)
{
	return mode == MODE_INIT_ONLY ? "InitOnly" : mode == MODE_VALIDATE ? "Validate" : "Serve";
}

static void
add_log_options(struct json_out *j, const struct settings *s)
{
	json_field(j, "log_level", log_level_name((enum log_level)log_levels[LOG_MAIN]));
	json_field(j, "component_log_level", "");
	json_field(j, "log_format", s->log_format ? s->log_format : log_default_format);
	json_field_bool(j, "log_format_escaped", false);
	json_field(j, "log_path", s->log_path);
}

static void
add_options(struct json_out *j, const struct settings *s)
{
	json_keyz(j, "command_line_options");
	json_object(j);
	json_field_u64(j, "base_id", s->base_id);
	json_field_u32(j, "concurrency", s->concurrency);
	json_field(j, "config_path", s->config_path);
	json_field(j, "config_yaml", s->config_yaml);
	json_field_bool(j, "allow_unknown_static_fields", s->allow_unknown_static_fields);
	json_field_bool(j, "reject_unknown_dynamic_fields", false);
	json_field_bool(j, "ignore_unknown_dynamic_fields", false);
	json_field(j, "admin_address_path", s->admin_address_path);
	json_field(j, "local_address_ip_version", "v4");
	add_log_options(j, s);
	json_field(j, "service_cluster", s->service_cluster);
	json_field(j, "service_node", s->service_node);
	json_field(j, "service_zone", s->service_zone);
	json_field_ms(j, "file_flush_interval", s->file_flush_interval_ms);
	json_field_seconds(j, "drain_time", s->drain_time_s);
	json_field(j, "drain_strategy", s->drain_immediate ? "Immediate" : "Gradual");
	json_field_seconds(j, "parent_shutdown_time", s->parent_shutdown_time_s);
	json_field(j, "mode", mode_name(s->mode));
	json_field_bool(j, "disable_hot_restart", s->hot_restart_disabled);
	json_field_bool(j, "enable_mutex_tracing", false);
	json_field_u32(j, "restart_epoch", s->restart_epoch);
	json_field_bool(j, "cpuset_threads", true);
	json_end(j);
}

static uint64_t
seconds_since(const struct admin *a, uint64_t wall_ns)
{
	uint64_t now = loop_wall_ns(a->loop);

	return wall_ns && now > wall_ns ? (now - wall_ns) / 1000000000 : 0;
}

void
web_server_info(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	const struct shm_flags *f = shm_flags();
	uint64_t first = f->first_started_wall_ns ? f->first_started_wall_ns : f->started_wall_ns;
	struct dump_options o = {.defaults = true};
	struct json_out j;

	r->type = WEB_JSON;
	json_out_init(&j, &r->body, true);
	json_object(&j);
	json_field(&j, "version", VERSION);
	json_field(&j, "state", admin_state_name(admin_state(a)));
	json_field_seconds(&j, "uptime_current_epoch", seconds_since(a, f->started_wall_ns));
	json_field_seconds(&j, "uptime_all_epochs", seconds_since(a, first));
	json_field(&j, "hot_restart_version", a->settings->hot_restart_version);
	add_options(&j, a->settings);
	if (a->store.bootstrap && a->store.bootstrap->node) {
		json_keyz(&j, "node");
		conf_dump(&j, (const ProtobufCMessage *)a->store.bootstrap->node, &o);
	}
	json_end(&j);
	strb_addc(&r->body, '\n');
}

void
web_memory(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	struct process_memory m = stats_memory(a);
	struct json_out j;

	r->type = WEB_JSON;
	json_out_init(&j, &r->body, true);
	json_object(&j);
	json_field_u64(&j, "allocated", m.allocated);
	json_field_u64(&j, "heap_size", m.heap);
	json_field_u64(&j, "pageheap_unmapped", 0);
	json_field_u64(&j, "pageheap_free", 0);
	json_field_u64(&j, "total_thread_cache", 0);
	json_field_u64(&j, "total_physical_bytes", m.physical);
	json_end(&j);
	strb_addc(&r->body, '\n');
}

void
web_hot_restart_version(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	web_reply_text(r, 200, a->settings->hot_restart_version ? a->settings->hot_restart_version : "disabled");
	strb_addc(&r->body, '\n');
}
