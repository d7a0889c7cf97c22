/*
 * The soak: clients of every kind at work on one proxy while it is
 * reloaded, restarted and, in a phase of its own, while its workers are
 * killed.  Proves what docs/hot-restart.md promises.
 *
 *   soak [baton|nginx|haproxy]
 *
 * RESTARTS, RELOADS, KILLS  how many (0)
 * DEADLINES                 hot restarts after which what drains is cut after a second or three (0)
 * KILLPOINTS                moments at which anything is killed, also in the middle of a restart (0)
 * START_MS                  longest start after that (1000; 0: only told)
 * SECONDS                   plain load before (5)
 * SLOW_S                    length of slow transfers (10)
 * DRAIN_S                   --drain-time-s of baton (5)
 * GAP_MS                    longest wait of a new connection while workers are killed (100; 0: only
 *                           told)
 * SEED                      of all choices (printed)
 * B                         where the programs are (build)
 *
 * Exit status 0: every promise was kept.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "tests/soak/soak.h"

#define FINISH_NS (90 * NS_PER_S)
#define POINTS_BETWEEN_LOOKS 10

struct plan {
	const struct subject *subject;
	unsigned restarts, reloads, deadlines, kills, points, seconds, gap_ms;
	uint64_t seed;
};

static struct memory memory_first, memory_most, memory_last;
static pid_t origin;

static uint64_t
number(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);
	uint64_t n;

	if (v == NULL || *v == '\0')
		return otherwise;
	if (str_u64(str_of(v), &n))
		return n;
	fprintf(stderr, "soak: %s is not a number: %s\n", name, v);
	exit(2);
}

static void
read_plan(struct plan *p, int argc, char **argv)
{
	static const struct subject *const all[] = {
	    &subject_baton, &subject_nginx, &subject_haproxy};
	const char *name = argc > 1 ? argv[1] : "baton";

	p->restarts = (unsigned)number("RESTARTS", 0);
	p->reloads = (unsigned)number("RELOADS", 0);
	p->deadlines = (unsigned)number("DEADLINES", 0);
	p->kills = (unsigned)number("KILLS", 0);
	p->points = (unsigned)number("KILLPOINTS", 0);
	points.start_allowed_ns = number("START_MS", 1000) * NS_PER_MS;
	p->seconds = (unsigned)number("SECONDS", 5);
	p->gap_ms = (unsigned)number("GAP_MS", 100);
	p->seed = number("SEED", clock_wall_ns() % 1000000);
	slow_s = (unsigned)number("SLOW_S", 10);
	for (unsigned i = 0; i < 3; i++)
		if (strcmp(all[i]->name, name) == 0)
			p->subject = all[i];
	if (p->subject == NULL || slow_s == 0) {
		fprintf(stderr,
		    "usage: [RESTARTS=N] [RELOADS=N] [KILLS=N] soak [baton|nginx|haproxy]\n");
		exit(2);
	}
}

/* ---- the stage */

static void
start_origin(void)
{
	char port[8], *log = mem_printf("%s/origin.log", run_dir);
	char *argv[] = {program("origin"), "--port", port, NULL};

	origin_port = free_port();
	snprintf(port, sizeof(port), "%u", origin_port);
	origin = process_start(argv, log);
	wait_for_port(origin_port);
	mem_free(log);
}

static void
start_clients(void)
{
	static const unsigned count[KINDS] = {
#define KIND(id, clients, name) [KIND_##id] = clients,
#include "tests/soak/kinds.def"
#undef KIND
	};

	for (unsigned kind = 0; kind < KINDS; kind++) {
		for (unsigned i = 0; i < count[kind]; i++) {
			if (kind == KIND_STREAMS || kind == KIND_SLOW_STREAM)
				h2_start(kind);
			else if (kind == KIND_SOCKET)
				ws_start();
			else
				h1_start(kind);
		}
	}
}

static void
remove_dir(void)
{
	char *argv[] = {"rm", "-rf", run_dir, NULL};

	process_run(argv, NULL);
}

/* ---- the acts */

static void
measure(void)
{
	struct memory m = memory_last = process_memory(origin);

	if (memory_first.processes == 0)
		memory_first = m;
	if (m.pss_kib > memory_most.pss_kib)
		memory_most = m;
}

/* `act` n times, at moments nobody knows before. */
static void
repeat(enum phase ph, unsigned times, void (*act)(unsigned n), const char *what)
{
	uint64_t began = clock_mono_ns(), longest = 0;
	char *line;

	if (times == 0)
		return;
	phase = ph;
	refused = 0;
	for (unsigned i = 0; i < times; i++) {
		uint64_t then = clock_mono_ns();

		act(i);
		if (clock_mono_ns() - then > longest)
			longest = clock_mono_ns() - then;
		measure();
		run_for(between(50, 800));
	}
	line = mem_printf(
	    "%u %s in %.0f s (%u refused as they had to be), the longest took %.0f ms", times, what,
	    (double)(clock_mono_ns() - began) / NS_PER_S, refused, (double)longest / NS_PER_MS);
	tally_print(ph, line);
	mem_free(line);
}

static void
kill_one(unsigned n)
{
	baton_kill_worker();
}

/* Clients come to their end, are counted, and begin anew. */
static void
be_quiet(void)
{
	uint64_t until = clock_mono_ns() + FINISH_NS;

	finishing = true;
	while (loop_peers() && clock_mono_ns() < until)
		loop_turn(20);
	if (loop_peers())
		fault("%u clients did not come to an end", loop_peers());
	points_quiet();
	finishing = false;
	start_clients();
}

static void
kill_anything(unsigned n)
{
	points_kill(n);
	if (n % POINTS_BETWEEN_LOOKS == POINTS_BETWEEN_LOOKS - 1)
		be_quiet();
}

static void
print_points(const struct plan *plan)
{
	if (plan->points == 0)
		return;
	printf("after a kill: the longest of %u starts took %.0f ms, all was as before after %.0f ms "
	       "at most\n",
	    points.starts, (double)points.start_ns / NS_PER_MS,
	    (double)points.settle_ns / NS_PER_MS);
}

static void
leave_alone(const struct plan *plan)
{
	char *line = mem_printf("%u s", plan->seconds);

	phase = PHASE_PLAIN;
	run_for(plan->seconds * 1000);
	measure();
	tally_print(PHASE_PLAIN, line);
	mem_free(line);
}

/* Everything that was begun is brought to its end. */
static void
finish(void)
{
	uint64_t until = clock_mono_ns() + FINISH_NS;

	phase = PHASE_FINISH;
	finishing = true;
	while (loop_peers() && clock_mono_ns() < until)
		loop_turn(50);
	if (loop_peers())
		fault("%u clients did not come to an end", loop_peers());
	tally_print(PHASE_FINISH, "what was under way ends");
}

/* ---- the verdict */

static void
expect_no_failures(void)
{
	for (unsigned ph = 0; ph < PHASES; ph++) {
		if (tally_sum_failed(ph))
			fault("%llu requests failed in phase %u",
			    (unsigned long long)tally_sum_failed(ph), ph);
		if (tally_sum_closed(ph))
			fault("%llu idle connections were closed in phase %u",
			    (unsigned long long)tally_sum_closed(ph), ph);
	}
}

/*
 * Who died with a worker may have been counted or not; everything else is
 * exact.
 */
static void
compare_totals(void)
{
	int64_t total = baton_stat("http.soak.downstream_rq_total");

	printf("downstream_rq_total over all generations: %lld; requests sent: %llu",
	    (long long)total, (unsigned long long)heads_sent);
	if (heads_unsure)
		printf(", of them failed: %llu", (unsigned long long)heads_unsure);
	printf("\n");
	if (total > (int64_t)heads_sent || total < (int64_t)(heads_sent - heads_unsure))
		fault("downstream_rq_total is wrong");
}

static void
judge_gap(const struct plan *plan)
{
	double gap = (double)tally[PHASE_KILLS][KIND_ONCE].pause_ns / NS_PER_MS;

	if (plan->kills == 0)
		return;
	printf("longest wait of a new connection while workers were killed: %.1f ms (we held one "
	       "for %.1f ms)\n",
	    gap, (double)loop_away_ns / NS_PER_MS);
	if (plan->gap_ms && gap > plan->gap_ms)
		fault("a new connection waited more than %u ms", plan->gap_ms);
}

static void
print_memory(void)
{
	printf("memory (PSS): %.1f MiB in %u processes at first, at most %.1f MiB in %u processes",
	    (double)memory_first.pss_kib / 1024, memory_first.processes,
	    (double)memory_most.pss_kib / 1024, memory_most.processes);
	if (memory_most.masters)
		printf(" of %u generations", memory_most.masters);
	printf(", %.1f MiB in %u at the end", (double)memory_last.pss_kib / 1024,
	    memory_last.processes);
	printf(
	    "\nlongest turn of the soak's own loop: %.1f ms\n", (double)loop_stall_ns / NS_PER_MS);
}

static void
run(const struct plan *plan)
{
	start_origin();
	plan->subject->start();
	start_clients();
	leave_alone(plan);
	repeat(PHASE_RELOADS, plan->reloads, plan->subject->reload, "reloads");
	if (plan->subject->restart)
		repeat(PHASE_RESTARTS, plan->restarts, plan->subject->restart, "hot restarts");
	if (plan->subject == &subject_baton && plan->deadlines) {
		repeat(PHASE_DEADLINES, plan->deadlines, deadlines_restart,
		    "hot restarts with drain deadlines");
		deadlines_end();
	}
	if (plan->subject == &subject_baton && (plan->kills || plan->points))
		baton_with_two_workers();
	if (plan->subject == &subject_baton)
		repeat(PHASE_KILLS, plan->kills, kill_one, "workers killed");
	if (plan->subject == &subject_baton && plan->points) {
		be_quiet();
		repeat(PHASE_POINTS, plan->points, kill_anything, "kill points");
	}
	finish();
	measure();
	printf("\n");
	print_memory();
	print_points(plan);
	if (plan->subject == &subject_baton) {
		expect_no_failures();
		compare_totals();
		judge_gap(plan);
		baton_stop_checks(plan->kills);
	}
	plan->subject->stop();
}

/* Peers are judged by their readers. */
static void
print_verdict(const struct plan *plan)
{
	uint64_t failed = 0, closed = 0;

	for (unsigned ph = 0; ph < PHASES; ph++) {
		failed += tally_sum_failed(ph);
		closed += tally_sum_closed(ph);
	}
	printf("%s: %llu requests failed, %llu idle connections closed%s\n", plan->subject->name,
	    (unsigned long long)failed, (unsigned long long)closed,
	    plan->subject != &subject_baton ? ""
	    : faults			    ? "; soak FAILED"
					    : "; soak passed");
}

int
main(int argc, char **argv)
{
	struct plan plan = {0};

	read_plan(&plan, argc, argv);
	snprintf(run_dir, sizeof(run_dir), "/tmp/baton-soak-XXXXXX");
	if (mkdtemp(run_dir) == NULL) {
		perror(run_dir);
		return 1;
	}
	rand_seed(plan.seed);
	processes_init();
	loop_init();
	printf("soak of %s: seed %llu, %u reloads, %u restarts, %u kills, %u kill points\n",
	    plan.subject->name, (unsigned long long)plan.seed, plan.reloads,
	    plan.subject->restart ? plan.restarts : 0, plan.kills, plan.points);
	points_init(plan.seed);
	closed_is_told = plan.subject == &subject_baton;
	fflush(stdout);
	run(&plan);
	process_end_all();
	remove_dir();
	print_verdict(&plan);
	return faults ? 1 : 0;
}
