/*
 * statdoc: docs/stats.md from the tables in shm/stats; part of the build.
 */
#include <stdio.h>

#include "shm/schema.h"

static const struct {
	const char *prefix, *who;
} scopes[STAT_SCOPES] = {
    [SCOPE_server] = {"server.", "the proxy as a whole"},
    [SCOPE_watchdog] = {"server.worker_<n>., server.main_thread.",
	"one process as the watchdog sees it"},
    [SCOPE_baton] = {"baton.", "what Envoy has no name for"},
    [SCOPE_listener] = {"listener.<address>.", "one listener"},
    [SCOPE_listener_worker] = {"listener.<address>.worker_<n>.", "one listener in one worker"},
    [SCOPE_listener_http] = {"listener.<address>.http.<stat_prefix>.",
	"responses of one connection manager on one listener"},
    [SCOPE_listener_manager] = {"listener_manager.", "listeners as a set"},
    [SCOPE_http] = {"http.<stat_prefix>.", "one HTTP connection manager and its router"},
    [SCOPE_health_check] = {"http.<stat_prefix>.health_check.", "the health_check filter"},
    [SCOPE_http1_codec] = {"http1., cluster.<name>.http1.", "the HTTP/1 codec"},
    [SCOPE_active_check] = {"cluster.<name>.health_check.", "the active health checks of a cluster"},
    [SCOPE_http2_codec] = {"http2., cluster.<name>.http2.", "the HTTP/2 codec"},
    [SCOPE_cluster] = {"cluster.<name>.", "one cluster"},
    [SCOPE_cluster_codes] = {"cluster.<name>.retry., canary., internal., external.",
	"responses of one cluster counted apart"},
    [SCOPE_subscription] = {"cluster.<name>.", "what an EDS cluster is subscribed to"},
    [SCOPE_dns_cares] = {"dns.cares.", "questions to DNS servers"},
    [SCOPE_control_plane] = {"cluster.<name>.control_plane.`, of ADS `control_plane.", "a stream to a control plane"},
    [SCOPE_cluster_manager] = {"cluster_manager.", "clusters as a set"},
    [SCOPE_host] = {"/clusters, batonstat --hosts", "one upstream host; not in /stats"},
    [SCOPE_host_outcome] = {"nowhere", "what outlier detection counts of one upstream host"},
    [SCOPE_outlier_detection] = {"cluster.<name>.outlier_detection.", "ejections of a cluster's hosts"},
    [SCOPE_runtime] = {"runtime.", "runtime layers"},
    [SCOPE_filesystem] = {"filesystem.", "files that are written"},
    [SCOPE_access_log] = {"access_log.", "access logging"},
};

static const char *
kind_of(const struct schema_row *r)
{
	switch (r->kind) {
	case STAT_COUNTER:
		return "counter";
	case STAT_GAUGE:
		if ((r->flags & ROW_OWN) && (r->flags & ROW_ANY))
			return "gauge, of the serving generation, the largest of its processes";
		if (r->flags & ROW_OWN)
			return "gauge, of the serving generation";
		return r->flags & ROW_ANY ? "gauge, 1 when any process says so" : "gauge";
	case STAT_HISTOGRAM:
		return "histogram";
	case STAT_CODES:
		return "counter by status";
	case STAT_TEXT:
		return "text";
	case STAT_KINDS:
		break;
	}
	return "";
}

static void
print_row(const struct schema_row *r)
{
	static const char *const units[STAT_UNITS] = {[UNIT_BYTES] = "bytes",
	    [UNIT_MS] = "ms",
	    [UNIT_US] = "µs",
	    [UNIT_S] = "s",
	    [UNIT_PERCENT] = "%"};

	printf("| `%s%s` | %s%s | %s | %s |\n", r->name, r->kind == STAT_CODES ? "<code>" : "",
	    kind_of(r), r->flags & ROW_LAZY ? ", once used" : "",
	    units[r->unit] ? units[r->unit] : "", r->help);
}

int
main(void)
{
	printf("# Statistics\n\nMade from the tables in `shm/stats`. A name is prefix and row. "
	       "Values of "
	       "all processes and\ngenerations are summed unless the kind says otherwise; *once "
	       "used*: "
	       "listed after the first write.\n");
	for (int i = 0; i < STAT_SCOPES; i++) {
		const struct schema_scope *s = &schema_scopes[i];

		printf("\n## `%s`\n\n%s (`shm/stats/%s.def`)\n\n| stat | kind | unit | meaning |\n"
		       "|---|---|---|---|\n",
		    scopes[i].prefix, scopes[i].who, s->name);
		for (uint32_t k = 0; k < s->rows; k++)
			print_row(&s->row[k]);
	}
	return 0;
}
