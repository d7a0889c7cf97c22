/*
 * Kill points: while clients are at work an operation is begun (or none),
 * and at a moment of it that nobody knows before, some of baton's
 * processes are killed with SIGKILL, at once or after a stop.  Then all
 * must come to rest by itself, or by the next start where nobody is left
 * to do it, and no number may be lost.
 *
 * The choices follow from SEED and nothing else.
 *
 * What may be lost: connections that a killed worker held, and those that
 * waited in a queue whose last holder was killed.  While nobody listens,
 * and that is our doing, connections are refused.  Everything else is a
 * failure.
 *
 * What is exact: `downstream_rq_total` counts a request when its head is
 * complete, before anything of it goes on.  So every request that was
 * answered, and every one on a connection whose worker was not killed, is
 * counted once, and one that died with its worker once or not at all.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "tests/soak/baton.h"
#include "tests/soak/points_private.h"
#include "tests/soak/soak.h"

#define SETTLE_NS (40 * NS_PER_S)
#define ALONE_NS (NS_PER_S) /* nobody serves for so long: somebody must start it */

struct points points;

static uint64_t choices; /* splitmix64 */
char point_what[320];

static uint64_t
choose(uint64_t n)
{
	uint64_t z = (choices += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (z ^ (z >> 31)) % n;
}

void
points_init(uint64_t seed)
{
	choices = seed;
}

static void
note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void
note(const char *fmt, ...)
{
	size_t n = strlen(point_what);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(point_what + n, sizeof(point_what) - n, fmt, ap);
	va_end(ap);
}

/* ---- who is there */

struct baton_process batons[BATONS_MAX];
unsigned batons_n;

void
batons_look(void)
{
	batons_n = process_batons(batons, BATONS_MAX);
}

static bool
is_there(pid_t pid)
{
	for (unsigned i = 0; i < batons_n; i++)
		if (batons[i].pid == pid)
			return true;
	return false;
}

static unsigned
count(enum baton_role role, pid_t parent)
{
	unsigned n = 0;

	for (unsigned i = 0; i < batons_n; i++)
		n += batons[i].role == role && (parent == 0 || batons[i].parent == parent);
	return n;
}

/* ---- operations */

enum operation {
	OP_NONE,
	OP_RELOAD,
	OP_HUP,
	OP_RESTART,
	OP_USR2,
	OP_BY_HAND,
	OP_ROLLBACK,
	OP_START, /* everything or only the masters were killed before */
	OPS,
};

static const struct {
	const char *name;
	const char *steps[5]; /* lines of the log at which a kill may come */
} ops[OPS] = {
    [OP_NONE] = {"nothing", {NULL}},
    [OP_RELOAD] = {"reload", {"reload: begins", "reload: in force"}},
    [OP_HUP] = {"SIGHUP", {"reload: begins", "reload: in force"}},
    [OP_RESTART] = {"hot-restart", {"started pid", "gets copies of everything", "taking over from",
				       "starting -> serving", "draining, another serves"}},
    [OP_USR2] = {"SIGUSR2", {"started pid", "gets copies of everything", "taking over from",
				"starting -> serving", "draining, another serves"}},
    [OP_BY_HAND] = {"--restart-epoch auto",
	{"gets copies of everything", "taking over from", "admin address", "starting -> serving",
	    "draining, another serves"}},
    [OP_ROLLBACK] = {"rollback", {"rollback: accepting again", "draining, another serves"}},
    [OP_START] = {"start", {"adopting", "is ours now", "admin address", "starting -> serving"}},
};

static pid_t operation_pid; /* of a command that was given; 0: none */
static uint64_t operation_ns[OPS]; /* the longest so far */

static bool
operation_ended(void)
{
	int status;

	if (operation_pid && process_ended(operation_pid, &status))
		operation_pid = 0;
	return operation_pid == 0;
}

/* Waits for the command; a baton that was started by hand serves on. */
static void
finish_operation(enum operation op)
{
	uint64_t until = clock_mono_ns() + SETTLE_NS;

	if (op == OP_BY_HAND || op == OP_START)
		operation_pid = 0;
	while (!operation_ended()) {
		loop_turn(5);
		if (clock_mono_ns() < until)
			continue;
		FAULT("batonctl does not come to an end");
		kill(operation_pid, SIGKILL);
		until += SETTLE_NS;
	}
}

static void
kill_masters(bool everything)
{
	do {
		batons_look();
		for (unsigned i = 0; i < batons_n; i++)
			if (batons[i].role == BATON_MASTER)
				kill(batons[i].pid, SIGKILL);
		for (unsigned i = 0; i < batons_n && everything; i++)
			if (batons[i].role == BATON_WORKER) {
				kill(batons[i].pid, SIGSTOP);
				process_doom_clients(batons[i].pid);
			}
		excused |= everything;
		if (everything)
			process_doom_queued();
		for (unsigned i = 0; i < batons_n && everything; i++)
			kill(batons[i].pid, SIGKILL);
		for (unsigned i = 0; i < batons_n; i++)
			if (everything || batons[i].role == BATON_MASTER)
				process_wait_gone(batons[i].pid);
		batons_look();
	} while (count(BATON_MASTER, 0) || (everything && batons_n));
	outage = !process_somebody_listens();
}

static pid_t
begin_start(void)
{
	bool automatic = choose(2);

	note(automatic ? "auto " : "plain ");
	return baton_spawn("2", automatic ? "auto" : NULL);
}

static void
begin(enum operation op)
{
	pid_t master = baton_master();

	operation_pid = 0;
	if (op == OP_RELOAD || op == OP_HUP || choose(3) == 0)
		baton_change_config(false);
	switch (op) {
	case OP_RELOAD:
		operation_pid = baton_ask("reload");
		break;
	case OP_HUP:
		kill(master, SIGHUP);
		break;
	case OP_RESTART:
		operation_pid = baton_ask("hot-restart");
		break;
	case OP_USR2:
		kill(master, SIGUSR2);
		break;
	case OP_BY_HAND:
		operation_pid = baton_spawn("2", "auto");
		break;
	case OP_ROLLBACK:
		baton_ctl("hot-restart", NULL);
		operation_pid = baton_ask("rollback");
		break;
	case OP_START:
		kill_masters(choose(2));
		note("%s, ", outage ? "of nothing" : "of orphans");
		operation_pid = begin_start();
		break;
	default:
		break;
	}
}

/* ---- the moment */

static bool
log_says(long from, const char *text)
{
	char line[1024];
	bool found = false;
	FILE *f = fopen(baton_log(), "re");

	if (f == NULL)
		return false;
	fseek(f, from, SEEK_SET);
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, text) != NULL;
	fclose(f);
	return found;
}

static long
log_size(void)
{
	struct stat st;

	return stat(baton_log(), &st) == 0 ? (long)st.st_size : 0;
}

static const char *
choose_step(enum operation op)
{
	unsigned n = 0;

	while (n < 5 && ops[op].steps[n])
		n++;
	return n && choose(2) ? ops[op].steps[choose(n)] : NULL;
}

static void
wait_for_moment(enum operation op, long from, const char *step)
{
	uint64_t began = clock_mono_ns(), most = operation_ns[op] ? operation_ns[op] : 300 * NS_PER_MS;
	uint64_t most_ms = most * 5 / 4 / NS_PER_MS + 20, after_ms = choose(step ? 20 : most_ms);

	if (step) {
		note("at \"%s\" + %llu ms, ", step, (unsigned long long)after_ms);
		while (!log_says(from, step) && clock_mono_ns() - began < 2 * NS_PER_S)
			loop_turn(1);
		began = clock_mono_ns();
	} else {
		note("after %llu ms, ", (unsigned long long)after_ms);
	}
	while (clock_mono_ns() - began < after_ms * NS_PER_MS) {
		bool was = operation_pid != 0;

		loop_turn(1);
		if (was && operation_ended() && !step && clock_mono_ns() - began > operation_ns[op])
			operation_ns[op] = clock_mono_ns() - began;
	}
}

/* ---- the victims */

enum victims { V_MASTER, V_ADMIN, V_WORKER, V_WORKERS, V_MASTERS, V_GENERATION, V_ALL, VICTIMS };

static const char *const victim_names[VICTIMS] = {"a master", "an admin", "a worker",
    "a generation's workers", "all masters", "a generation", "everything"};

static struct baton_process *
pick(enum baton_role role)
{
	unsigned n = count(role, 0), at = n ? (unsigned)choose(n) : 0;

	for (unsigned i = 0; i < batons_n; i++)
		if (batons[i].role == role && at-- == 0)
			return &batons[i];
	return NULL;
}

static unsigned
choose_victims(enum victims v, struct baton_process *out)
{
	static const enum baton_role roles[VICTIMS] = {[V_MASTER] = BATON_MASTER,
	    [V_ADMIN] = BATON_ADMIN,
	    [V_WORKER] = BATON_WORKER,
	    [V_WORKERS] = BATON_WORKER,
	    [V_GENERATION] = BATON_MASTER};
	struct baton_process *one = v == V_ALL || v == V_MASTERS ? batons : pick(roles[v]);
	unsigned n = 0;

	for (unsigned i = 0; i < batons_n && one; i++) {
		bool wanted = v == V_ALL || &batons[i] == one;

		wanted |= v == V_MASTERS && batons[i].role == BATON_MASTER;
		wanted &= v != V_MASTERS || batons[i].role == BATON_MASTER;
		wanted |= v == V_WORKERS && batons[i].role == BATON_WORKER && batons[i].parent == one->parent;
		wanted |= v == V_GENERATION && batons[i].parent == one->pid;
		if (wanted)
			out[n++] = batons[i];
	}
	return n;
}

static bool
is_among(const struct baton_process *v, unsigned n, pid_t pid)
{
	for (unsigned i = 0; i < n; i++)
		if (v[i].pid == pid)
			return true;
	return false;
}

/* Workers are held still before, so that the kernel can say what they hold. */
static void
doom(const struct baton_process *v, unsigned n)
{
	bool queues = false;

	for (unsigned i = 0; i < n; i++) {
		if (v[i].role != BATON_WORKER)
			continue;
		kill(v[i].pid, SIGSTOP);
		process_doom_clients(v[i].pid);
		queues |= v[i].parent == getpid() || is_among(v, n, v[i].parent);
	}
	if (queues)
		process_doom_queued();
	excused |= queues;
}

/* And waits for their end, so that nobody connects to what only seems to be there. */
static void
kill_in_any_order(struct baton_process *v, unsigned n)
{
	for (unsigned left = n; left; left--) {
		unsigned i = (unsigned)choose(left);
		struct baton_process one = v[i];

		kill(one.pid, SIGKILL);
		v[i] = v[left - 1];
		v[left - 1] = one;
	}
	for (unsigned i = 0; i < n; i++)
		process_wait_gone(v[i].pid);
}

static void
strike(void)
{
	struct baton_process v[BATONS_MAX];
	enum victims whom = choose(VICTIMS);
	bool stop_first = choose(4) == 0;
	unsigned stopped_ms = (unsigned)choose(400), n;

	batons_look();
	n = choose_victims(whom, v);
	note("%s (%u)%s", victim_names[whom], n, stop_first ? " after a stop" : "");
	for (unsigned i = 0; i < n && stop_first; i++)
		kill(v[i].pid, SIGSTOP);
	if (stop_first && n)
		run_for(stopped_ms);
	doom(v, n);
	for (unsigned i = 0; i < n; i++)
		points.crashes += v[i].role == BATON_WORKER;
	kill_in_any_order(v, n);
	if (whom == V_ALL)
		kill_masters(true);
	batons_look();
	outage = !process_somebody_listens();
}

/* ---- coming to rest */

/* A successor that the dead master had only just forked was not there to be seen, and took over: that
 * one serves, so a plain start is refused as it must be. */
static bool
was_late(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 1 && baton_lives(baton_master());
}

static void
start_anew(void)
{
	static const char *const nobody = "the next start";
	uint64_t began = clock_mono_ns();
	pid_t pid;
	int status;

	note("; ");
	pid = begin_start();
	note("start");
	while (baton_master() != pid) {
		loop_turn(2);
		if (process_ended(pid, &status)) {
			if (was_late(status)) {
				note(" (one was there)");
				return;
			}
			FAULT("%s was refused, status %x", nobody, status);
			baton_show_log();
			return;
		}
		if (clock_mono_ns() - began > SETTLE_NS) {
			FAULT("%s does not serve", nobody);
			kill(pid, SIGKILL);
			return;
		}
	}
	outage = false;
	points.starts++;
	if (clock_mono_ns() - began > points.start_ns)
		points.start_ns = clock_mono_ns() - began;
	if (points.start_allowed_ns && clock_mono_ns() - began > points.start_allowed_ns)
		FAULT("%s took %.0f ms", nobody, (double)(clock_mono_ns() - began) / NS_PER_MS);
}

static bool
serves(pid_t master)
{
	struct strb said = {0};
	bool yes = master && baton_ctl("ps", &said) == 0 && strstr(strb_z(&said), ": serving");

	strb_fini(&said);
	return yes;
}

static bool
is_complete(pid_t master)
{
	return is_there(master) && count(BATON_WORKER, master) == FULL &&
	       count(BATON_ADMIN, master) == 1;
}

static void
settle(void)
{
	uint64_t began = clock_mono_ns(), alone_since = began;
	unsigned tries = 0;

	for (;;) {
		pid_t master = baton_master();

		batons_look();
		if (is_complete(master) && serves(master))
			break;
		if (is_there(master))
			alone_since = clock_mono_ns();
		if ((count(BATON_MASTER, 0) == 0 || clock_mono_ns() - alone_since > ALONE_NS) &&
		    tries++ < 5) {
			start_anew();
			alone_since = clock_mono_ns();
		}
		if (clock_mono_ns() - began > SETTLE_NS) {
			FAULT("nobody serves: masters %u, of %d: workers %u, admins %u",
			    count(BATON_MASTER, 0), (int)master, count(BATON_WORKER, master),
			    count(BATON_ADMIN, master));
			baton_show_log();
			break;
		}
		run_for(10);
	}
	outage = excused = false;
	if (clock_mono_ns() - began > points.settle_ns)
		points.settle_ns = clock_mono_ns() - began;
}

/* ---- one point */

void
points_kill(unsigned n)
{
	enum operation op = choose(OPS);
	const char *step = choose_step(op);
	long from = log_size();

	snprintf(point_what, sizeof(point_what), "point %u: ", n);
	note("%s ", ops[op].name);
	begin(op);
	wait_for_moment(op, from, step);
	strike();
	if (getenv("VERBOSE")) {
		printf("%s\n", point_what);
		fflush(stdout);
	}
	points_check_total();
	finish_operation(op);
	settle();
	points_check_total();
	points.done++;
}

/* The restarts before may have left another number of workers. */
void
baton_with_two_workers(void)
{
	uint64_t until = clock_mono_ns() + SETTLE_NS;
	pid_t pid = baton_spawn("2", "auto");

	snprintf(point_what, sizeof(point_what), "before the first kill");
	while (baton_master() != pid && clock_mono_ns() < until)
		loop_turn(5);
	if (baton_master() != pid)
		FAULT("a restart does not serve");
}
