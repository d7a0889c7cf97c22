/*
 * What must hold between two kill points, and when all is quiet.
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "tests/soak/baton.h"
#include "tests/soak/points_private.h"
#include "tests/soak/soak.h"

#define ALONE_NS (40 * NS_PER_S) /* what drains must have ended */

/* ---- numbers */

static uint64_t sent_then, unsure_then;
static int64_t total_then, total_seen;

/* It never falls, and it is never more than was sent. */
void
points_check_total(void)
{
	int64_t total = baton_stat("http.soak.downstream_rq_total");

	if (total < total_seen || total > (int64_t)heads_sent)
		FAULT("downstream_rq_total is %lld, was %lld; %llu were sent", (long long)total,
		    (long long)total_seen, (unsigned long long)heads_sent);
	total_seen = total;
}

/* ---- a quiet moment */

static unsigned baseline[3];

/* A socket that is lent, or a connection that is closing, is gone in a moment. */
static bool
has_too_many(pid_t pid, unsigned most)
{
	uint64_t until = clock_mono_ns() + 5 * NS_PER_S;

	while (process_descriptors(pid) > most && clock_mono_ns() < until)
		run_for(50);
	return process_descriptors(pid) > most;
}

static void
show_descriptors(pid_t pid)
{
	char *cmd = mem_printf("ls -l /proc/%d/fd; ss -tanpe | grep pid=%d,; ss -xanpe | grep pid=%d,",
	    (int)pid, (int)pid, (int)pid);
	char *argv[] = {"/bin/sh", "-c", cmd, NULL};
	struct strb out = {0};

	process_run(argv, &out);
	printf("%s\n", strb_z(&out));
	strb_fini(&out);
	mem_free(cmd);
}

/* Sockets of a generation with more workers are shared out, so one worker may have more than another. */
static void
take_baseline(void)
{
	for (unsigned i = 0; i < batons_n; i++) {
		unsigned n = process_descriptors(batons[i].pid);

		if (n > baseline[batons[i].role])
			baseline[batons[i].role] = n;
	}
}

static void
check_descriptors(void)
{
	static const char *const names[] = {"master", "admin", "worker"};

	batons_look();
	if (baseline[0] == 0)
		take_baseline();
	for (unsigned i = 0; i < batons_n; i++) {
		unsigned most = baseline[batons[i].role];

		if (!has_too_many(batons[i].pid, most))
			continue;
		FAULT("%s %d has %u descriptors, %u at first", names[batons[i].role], (int)batons[i].pid,
		    process_descriptors(batons[i].pid), most);
		show_descriptors(batons[i].pid);
	}
}

static void
expect(const char *name, int64_t want)
{
	uint64_t until = clock_mono_ns() + 5 * NS_PER_S;
	int64_t got;

	while ((got = baton_stat(name)) != want && clock_mono_ns() < until)
		run_for(20);
	if (got != want)
		FAULT("%s is %lld, %lld is right", name, (long long)got, (long long)want);
}

static void
check_gauges(void)
{
	static const char *const none[] = {"http.soak.downstream_cx_active",
	    "http.soak.downstream_cx_http1_active", "http.soak.downstream_cx_http2_active",
	    "http.soak.downstream_cx_upgrades_active", "http.soak.downstream_rq_active",
	    "http.soak.downstream_cx_rx_bytes_buffered", "cluster.origin.upstream_rq_active",
	    "cluster.origin.upstream_rq_pending_active",
	    "cluster.origin.upstream_cx_tx_bytes_buffered",
	    "cluster.origin.circuit_breakers.default.rq_open",
	    "cluster.origin.circuit_breakers.default.cx_open", "server.parent_connections"};

	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		expect(none[i], 0);
	expect("cluster.origin.upstream_cx_active", process_origin_connections());
	expect("cluster.origin.circuit_breakers.default.remaining_rq", BREAKER_REQUESTS);
	expect("baton.generations", 1);
}

static unsigned
generations(void)
{
	DIR *d = opendir(baton_runtime());
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d)) != NULL)
		n += e->d_name[0] == 'g' && e->d_name[1] >= '0' && e->d_name[1] <= '9';
	if (d)
		closedir(d);
	return n;
}

/* What the last look was exact about is the start of this one. */
static void
check_sum(void)
{
	uint64_t sent = heads_sent - sent_then, unsure = heads_unsure - unsure_then;
	int64_t total = baton_stat("http.soak.downstream_rq_total"), counted = total - total_then;

	if (counted > (int64_t)sent || counted < (int64_t)(sent - unsure))
		FAULT("%lld requests were counted since the last look, %llu sent, %llu of them lost "
		      "with a worker",
		    (long long)counted, (unsigned long long)sent, (unsigned long long)unsure);
	sent_then = heads_sent;
	unsure_then = heads_unsure;
	total_then = total_seen = total;
}

static bool
is_alone(void)
{
	batons_look();
	return batons_n == FULL + 2 && generations() == 1;
}

void
points_quiet(void)
{
	uint64_t until = clock_mono_ns() + ALONE_NS;
	struct strb said = {0};

	snprintf(point_what, sizeof(point_what), "quiet after %u points", points.done);
	baton_change_config(true);
	if (baton_ctl("reload", &said) != 0)
		FAULT("reload: %s", strb_z(&said));
	strb_fini(&said);
	while (!is_alone() && clock_mono_ns() < until)
		run_for(50);
	if (!is_alone())
		FAULT("%u processes, %u generations are left", batons_n, generations());
	check_gauges();
	check_sum();
	check_descriptors();
}
