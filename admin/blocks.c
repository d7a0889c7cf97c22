#include "admin/blocks.h"

#include <stdio.h>

#include "admin/config/hcm.h"
#include "admin/config/store.h"
#include "lib/base/assert.h"
#include "lib/ipc/process.h"
#include "lib/upstream/blocks.h"
#include "shm/block.h"

#define HEALTH_CHECK_FILTER "envoy.extensions.filters.http.health_check.v3.HealthCheck"

/* prefix + more as one block of the scope. */
static int
put(struct segment *seg, enum stat_scope scope, struct str prefix, const char *more, struct err *err)
{
	struct strb b = {0};
	int bad;

	strb_adds(&b, prefix);
	strb_addz(&b, more);
	bad = block_publish(seg, scope, strb_str(&b), err);
	strb_fini(&b);
	return bad;
}

int
blocks_publish_own(struct segment *seg, const struct settings *settings, struct err *err)
{
	static const struct {
		enum stat_scope scope;
		const char *prefix;
	} rows[] = {
	    {SCOPE_server, "server."},
	    {SCOPE_watchdog, "server.main_thread."},
	    {SCOPE_baton, "baton."},
	    {SCOPE_listener_manager, "listener_manager."},
	    {SCOPE_cluster_manager, "cluster_manager."},
	    {SCOPE_http1_codec, "http1."},
	    {SCOPE_http2_codec, "http2."},
	    {SCOPE_runtime, "runtime."},
	    {SCOPE_filesystem, "filesystem."},
	    {SCOPE_access_log, "access_log."},
	    {SCOPE_http, "http.admin."},
	    {SCOPE_listener, "listener.admin."},
	    {SCOPE_listener_http, "listener.admin.http.admin."},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (put(seg, rows[i].scope, str_of(rows[i].prefix), "", err) < 0)
			return -1;
	for (unsigned i = 0; i < settings->concurrency; i++) {
		char more[32];

		snprintf(more, sizeof(more), "worker_%u.", i);
		if (put(seg, SCOPE_watchdog, STR("server."), more, err) < 0)
			return -1;
	}
	return 0;
}

struct listener_walk {
	struct segment *seg;
	struct str prefix; /* of the listener */
};

static int
put_hcm(void *arg, const HttpConnectionManager *hcm, struct err *err)
{
	struct listener_walk *w = arg;
	struct strb b = {0};
	int bad;

	strb_addz(&b, "http.");
	stat_name_add(&b, str_of(hcm->stat_prefix));
	strb_addc(&b, '.');
	bad = put(w->seg, SCOPE_http, strb_str(&b), "", err);
	if (bad == 0)
		bad = put(w->seg, SCOPE_listener_http, w->prefix, strb_z(&b), err);
	if (bad == 0 && hcm_has_filter(hcm, HEALTH_CHECK_FILTER))
		bad = put(w->seg, SCOPE_health_check, strb_str(&b), "health_check.", err);
	strb_fini(&b);
	return bad;
}

static int
put_listener(struct segment *seg, const struct settings *settings, const struct store_listener *l,
    struct arena *scratch, struct err *err)
{
	struct listener_walk w = {seg, l->prefix};

	if (put(seg, SCOPE_listener, l->prefix, "", err) < 0)
		return -1;
	for (unsigned i = 0; i < settings->concurrency; i++) {
		char more[32];

		snprintf(more, sizeof(more), "worker_%u.", i);
		if (put(seg, SCOPE_listener_worker, l->prefix, more, err) < 0)
			return -1;
	}
	return hcm_each(l->message, scratch, put_hcm, &w, err);
}

int
blocks_publish_cluster(
    struct segment *seg, struct str prefix, bool checked, bool watched, struct err *err)
{
	if (watched && put(seg, SCOPE_outlier_detection, prefix, "outlier_detection.", err) < 0)
		return -1;
	if (checked && put(seg, SCOPE_active_check, prefix, "health_check.", err) < 0)
		return -1;
	if (put(seg, SCOPE_cluster, prefix, "", err) < 0 ||
	    put(seg, SCOPE_http1_codec, prefix, "http1.", err) < 0 ||
	    put(seg, SCOPE_http2_codec, prefix, "http2.", err) < 0)
		return -1;
	for (size_t i = 0; i < CODES_SETS; i++)
		if (put(seg, SCOPE_cluster_codes, prefix, codes_set_names[i], err) < 0)
			return -1;
	return 0;
}

static void
retire(struct segment *seg, enum stat_scope scope, struct str prefix, const char *more)
{
	struct strb b = {0};

	strb_adds(&b, prefix);
	strb_addz(&b, more);
	block_retire(seg, scope, strb_str(&b));
	strb_fini(&b);
}

void
blocks_retire_cluster(struct segment *seg, struct str prefix)
{
	retire(seg, SCOPE_active_check, prefix, "health_check.");
	retire(seg, SCOPE_outlier_detection, prefix, "outlier_detection.");
	retire(seg, SCOPE_cluster, prefix, "");
	retire(seg, SCOPE_http1_codec, prefix, "http1.");
	retire(seg, SCOPE_http2_codec, prefix, "http2.");
	for (size_t i = 0; i < CODES_SETS; i++)
		retire(seg, SCOPE_cluster_codes, prefix, codes_set_names[i]);
}

int
blocks_publish_listeners(struct segment *seg, const struct settings *settings,
    const struct store *s, struct err *err)
{
	struct arena scratch;
	int bad = 0;

	arena_init(&scratch);
	for (size_t i = 0; i < s->listeners.len && bad == 0; i++) {
		bad = put_listener(seg, settings, &s->listeners.at[i], &scratch, err);
		if (bad < 0)
			err_in(err, "listener '" STR_FMT "'", STR_ARG(s->listeners.at[i].name));
	}
	arena_fini(&scratch);
	return bad;
}
