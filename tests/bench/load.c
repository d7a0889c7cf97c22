/*
 * The benches' load generator, on 127.0.0.1, one process:
 *
 *   load turns KIND N SECONDS CONNECTIONS ORIGIN NAME:PORT:PIDS…
 *                      several sides in turns, see load_turns.c.  KIND: get, answers of N bytes;
 *                      names, N of them; post, N bytes; close, a connection for each answer of N
 *                      bytes; ws, messages of N bytes and their echo.  ORIGIN and PIDS: processes,
 *                      with commas
 *   load count KIND N REQUESTS CONNECTIONS PORT
 *                      so many requests, and no more
 *   load rate PORT SECONDS CONNECTIONS RATE
 *                      requests at a fixed rate (open loop)
 *   load hold PORT     idle connections after a request each
 *
 * With a fixed rate a request is due at its time whether or not earlier ones
 * were answered: it waits for a free connection, and its latency counts from
 * when it was due.  What the generator itself was late is printed beside it.
 * `hold` opens as many connections as each line on stdin says, answers "held
 * N", and ends with stdin.  Its requests go one after the other, so one
 * upstream connection serves them all.
 */
#include "tests/bench/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* nanoseconds from when each request was due to its answer, and to its start */
static uint64_t *latency, *lateness;
static uint64_t latency_n, lateness_n;

/* ---- a fixed rate */

static void
on_answer(struct connection *c)
{
	if (!load_read_answer(c))
		return;
	latency[latency_n++] = load_now_ns() - c->due;
	load_answered(c);
}

static void
ask(uint64_t due)
{
	struct connection *c = load_idle;

	load_idle = c->next_idle;
	c->due = due;
	lateness[lateness_n++] = load_now_ns() - due;
	load_put(c->fd, load_request, strlen(load_request));
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double
quantile_us(const uint64_t *sorted, uint64_t n, double q)
{
	return n ? (double)sorted[(uint64_t)((double)(n - 1) * q)] / 1000 : 0;
}

static void
print_latency(void)
{
	qsort(latency, latency_n, sizeof(*latency), compare);
	qsort(lateness, lateness_n, sizeof(*lateness), compare);
	printf("p50 %.0f p99 %.0f max %.0f late_p50 %.0f late_p99 %.0f\n",
	    quantile_us(latency, latency_n, 0.5), quantile_us(latency, latency_n, 0.99),
	    quantile_us(latency, latency_n, 1), quantile_us(lateness, lateness_n, 0.5),
	    quantile_us(lateness, lateness_n, 0.99));
}

static void
run_rate(int port, unsigned seconds, unsigned n, unsigned rate)
{
	struct connection *all = calloc(n, sizeof(*all));
	uint64_t total = (uint64_t)rate * seconds, sent = 0, start, end;

	latency = calloc(total, sizeof(*latency));
	lateness = calloc(total, sizeof(*lateness));
	load_polled = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < n; i++) {
		all[i].fd = load_dial(port);
		load_poll(&all[i]);
		all[i].next_idle = load_idle;
		load_idle = &all[i];
	}
	prctl(PR_SET_TIMERSLACK, 1);
	start = load_now_ns();
	end = start + seconds * NS + GRACE;
	while (load_answers + load_errors < total && load_now_ns() < end) {
		uint64_t due = start + sent * NS / rate;

		while (sent < total && load_idle && due <= load_now_ns()) {
			ask(due);
			due = start + ++sent * NS / rate;
		}
		load_wait(sent < total && load_idle ? due : end, on_answer);
	}
	printf("requests %llu errors %llu\n", (unsigned long long)load_answers,
	    (unsigned long long)(total - load_answers));
	print_latency();
}

/* ---- idle connections */

static void
hold_one(int port)
{
	int fd = load_dial(port);
	size_t got = 0;
	ssize_t n;

	load_put(fd, load_request, strlen(load_request));
	do {
		n = recv(fd, load_room + got, LOAD_ROOM - 1 - got, 0);
		if (n <= 0)
			load_die("load: no answer");
		got += (size_t)n;
		load_room[got] = '\0';
	} while (strstr(load_room, "\r\n\r\n") == NULL ||
		 got < (size_t)(strstr(load_room, "\r\n\r\n") + 4 - load_room) +
			   (size_t)load_body_length(load_room, "200"));
}

static void
run_hold(int port)
{
	char line[16];
	int held = 0;

	while (fgets(line, sizeof(line), stdin)) {
		for (int more = atoi(line); more > 0; more--, held++)
			hold_one(port);
		printf("held %d\n", held);
		fflush(stdout);
	}
}

/* ---- arguments */

static int
usage(void)
{
	fprintf(stderr, "usage: load turns get|names|post|close|ws N SECONDS CONNECTIONS ORIGIN NAME:PORT:PIDS...\n"
			"       load count get|names|post|close|ws N REQUESTS CONNECTIONS PORT\n"
			"       load rate PORT SECONDS CONNECTIONS RATE\n"
			"       load hold PORT\n");
	return 2;
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	const char *what = argc > 1 ? argv[1] : "";
	int value[4] = {0}, values = 0;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	while (values < 4 && values + 2 < argc && atoi(argv[values + 2]) > 0) {
		value[values] = atoi(argv[values + 2]);
		values++;
	}
	if (strcmp(what, "turns") == 0) {
		if (load_turns(argc - 2, argv + 2) < 0)
			return usage();
	} else if (strcmp(what, "count") == 0) {
		if (load_count(argc - 2, argv + 2) < 0)
			return usage();
	} else if (strcmp(what, "hold") == 0 && values == 1) {
		run_hold(value[0]);
	} else if (strcmp(what, "rate") == 0 && values == 4) {
		run_rate(value[0], (unsigned)value[1], (unsigned)value[2], (unsigned)value[3]);
	} else {
		return usage();
	}
	return load_errors > 0;
}
