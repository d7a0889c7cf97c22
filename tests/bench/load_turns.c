/*
 * The load in turns: each side, which is a proxy in one of its shapes, has it
 * for SLICE, all its connections at once, each with its next request as soon
 * as the last was answered; then what is under way is awaited, and the next
 * side has it.  What the machine does from one second to the next is the same
 * for all sides then, and differences below a hundredth can be seen.
 *
 * A line for each slice: the side's name, microseconds that its processes ran
 * for a request, requests a second, and the shares of a CPU that its processes
 * and the origin's had, in percent.  The first turn is for the caches and has no
 * lines.  In the end a line with the requests of the first side.
 *
 * `load count` asks one side so many times, without turns, for whoever counts
 * what a request costs.
 */
#include "tests/bench/load.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLICE (NS / 10)
#define SETTLE_US 300 /* for what a proxy still does when its last answer is here */
#define SIDES 8
#define COUNT_WITHIN (60 * NS)

struct text {
	char *p;
	size_t n;
};

struct side {
	const char *name, *pids; /* with commas */
	int port, polled;
	struct connection *idle;
	uint64_t requests;
};

static struct side sides[SIDES];
static unsigned sides_n;
static const struct side *at_work;
static struct text *texts; /* requests, in turn */
static unsigned texts_n, texts_at;
static size_t echo_n;      /* bytes of a WebSocket message that comes back */
static uint64_t may_ask = UINT64_MAX;

/* ---- what is asked */

static void
add_text(struct text t)
{
	texts[texts_n++] = t;
}

static struct text
text(const char *format, unsigned value)
{
	struct text t;
	int n = asprintf(&t.p, format, value);

	if (n < 0)
		load_die("load");
	t.n = (size_t)n;
	return t;
}

static void
build_get(unsigned size)
{
	add_text(text("GET /?size=%u HTTP/1.1\r\nHost: bench\r\n\r\n", size));
}

/* Hosts h0.example to h<n-1>.example, one far from the next: no cache holds what the last needed. */
static void
build_names(unsigned n)
{
	texts = realloc(texts, n * sizeof(*texts));
	for (unsigned i = 1; i <= n; i++)
		add_text(text("GET / HTTP/1.1\r\nHost: h%u.example\r\n\r\n",
		    (unsigned)(i * 7919ull % n)));
}

static void
build_post(unsigned size)
{
	struct text t =
	    text("POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: %u\r\n\r\n", size);

	t.p = realloc(t.p, t.n + size);
	memset(t.p + t.n, 'x', size);
	t.n += size;
	add_text(t);
}

static void
build_close(unsigned size)
{
	add_text(text("GET /?size=%u HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", size));
}

/* Masked by zeros: the payload as it is. */
static void
build_message(unsigned size)
{
	struct text t = {calloc(1, size + 8), 8 + size};

	t.p[0] = (char)0x82;
	t.p[1] = (char)(0x80 | 126);
	t.p[2] = (char)(size >> 8);
	t.p[3] = (char)size;
	echo_n = 4 + size;
	add_text(t);
}

static void
ask(struct connection *c)
{
	const struct text *t = &texts[texts_at++ % texts_n];

	load_put(c->fd, t->p, t->n);
}

static void
on_answer(struct connection *c)
{
	if (load_read_answer(c))
		load_answered(c);
}

/* A connection for each request. */
static void
ask_on_new(struct connection *c)
{
	c->fd = load_dial(at_work->port);
	c->last = false;
	load_poll(c);
	ask(c);
}

static void
on_last_answer(struct connection *c)
{
	if (!c->last) {
		c->last = load_read_answer(c);
		return;
	}
	c->open = false;
	if (recv(c->fd, load_room, 1, MSG_DONTWAIT) != 0)
		load_errors++;
	close(c->fd);
	load_answered(c);
}

static void
ask_for_echo(struct connection *c)
{
	c->left = echo_n;
	ask(c);
}

static void
on_echo(struct connection *c)
{
	ssize_t n = recv(c->fd, load_room, LOAD_ROOM, MSG_DONTWAIT);

	if (n <= 0 || (uint64_t)n > c->left) {
		load_lose(c);
		return;
	}
	c->left -= (uint64_t)n;
	if (c->left == 0)
		load_answered(c);
}

static void
open_connection(struct connection *c)
{
	c->fd = load_dial(at_work->port);
	load_poll(c);
}

static void
open_none(struct connection *c)
{
}

static void
open_websocket(struct connection *c)
{
	static const char upgrade[] =
	    "GET /ws HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	size_t got = 0;

	open_connection(c);
	load_put(c->fd, upgrade, sizeof(upgrade) - 1);
	do {
		ssize_t n = recv(c->fd, load_room + got, LOAD_ROOM - 1 - got, 0);

		if (n <= 0)
			load_die("load: no answer to the upgrade");
		got += (size_t)n;
		load_room[got] = '\0';
	} while (strstr(load_room, "\r\n\r\n") == NULL);
	if (load_body_length(load_room, "101") != 0)
		load_errors++;
}

static const struct kind {
	const char *name;
	void (*build)(unsigned n);
	void (*open)(struct connection *c);
	void (*ask)(struct connection *c);
	void (*on_ready)(struct connection *c);
} kinds[] = {
    {"get", build_get, open_connection, ask, on_answer},
    {"names", build_names, open_connection, ask, on_answer},
    {"post", build_post, open_connection, ask, on_answer},
    {"close", build_close, open_none, ask_on_new, on_last_answer},
    {"ws", build_message, open_websocket, ask_for_echo, on_echo},
};

/* ---- slices */

static uint64_t
thread_ran_ns(const char *pid, const char *thread)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.12s/task/%.12s/schedstat", pid, thread);
	f = fopen(path, "re");
	if (f == NULL || fscanf(f, "%llu", &ns) != 1)
		load_die(path);
	fclose(f);
	return ns;
}

/* How long these processes ran, all of their threads. */
static uint64_t
ran_ns(const char *pids)
{
	uint64_t sum = 0;

	for (const char *end; *pids; pids = *end ? end + 1 : end) {
		char pid[16], path[64];
		struct dirent *d;
		DIR *tasks;

		end = strchrnul(pids, ',');
		snprintf(pid, sizeof(pid), "%.*s", (int)(end - pids), pids);
		snprintf(path, sizeof(path), "/proc/%s/task", pid);
		tasks = opendir(path);
		if (tasks == NULL)
			load_die(path);
		while ((d = readdir(tasks)) != NULL)
			if (d->d_name[0] != '.')
				sum += thread_ran_ns(pid, d->d_name);
		closedir(tasks);
	}
	return sum;
}

static uint64_t
ask_all(const struct kind *kind)
{
	struct connection *c;
	uint64_t n = 0;

	for (; (c = load_idle) != NULL && n < may_ask; n++) {
		load_idle = c->next_idle;
		kind->ask(c);
	}
	may_ask -= n;
	return n;
}

/* Gives how many were asked. */
static uint64_t
run_load(const struct kind *kind, uint64_t end)
{
	uint64_t had = load_answers, asked = ask_all(kind);

	while (load_now_ns() < end && load_errors == 0 && may_ask) {
		load_wait(end, kind->on_ready);
		asked += ask_all(kind);
	}
	end = load_now_ns() + GRACE;
	while (load_answers - had < asked && load_errors == 0 && load_now_ns() < end)
		load_wait(end, kind->on_ready);
	if (load_answers - had < asked)
		load_errors++;
	return asked;
}

static void
run_slice(const struct kind *kind, struct side *s, const char *origin, bool say)
{
	uint64_t start = load_now_ns(), ran = ran_ns(s->pids), origin_ran = ran_ns(origin), asked, took;

	at_work = s;
	load_polled = s->polled;
	load_idle = s->idle;
	asked = run_load(kind, start + SLICE);
	took = load_now_ns() - start;
	s->idle = load_idle;
	s->requests += asked;
	usleep(SETTLE_US);
	ran = ran_ns(s->pids) - ran;
	origin_ran = ran_ns(origin) - origin_ran;
	if (say && load_errors == 0)
		printf("%s %.3f %.0f %.1f %.1f\n", s->name, (double)ran / 1000 / (double)asked,
		    (double)asked * NS / (double)took, 100 * (double)ran / (double)took,
		    100 * (double)origin_ran / (double)took);
}

/* ---- arguments */

/* NAME:PORT:PIDS */
static bool
read_side(char *arg)
{
	struct side *s = &sides[sides_n];
	char *port = strchr(arg, ':'), *pids = port ? strchr(port + 1, ':') : NULL;

	if (pids == NULL || sides_n == SIDES)
		return false;
	*port++ = *pids++ = '\0';
	*s = (struct side){.name = arg, .pids = pids, .port = atoi(port)};
	sides_n++;
	return s->port > 0 && pids[0];
}

static void
open_side(const struct kind *kind, struct side *s, unsigned n)
{
	struct connection *all = calloc(n, sizeof(*all));

	at_work = s;
	load_polled = s->polled = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < n; i++) {
		kind->open(&all[i]);
		all[i].next_idle = s->idle;
		s->idle = &all[i];
	}
}

static const struct kind *
kind_named(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

int
load_turns(int argc, char **argv)
{
	const struct kind *kind = argc > 0 ? kind_named(argv[0]) : NULL;
	int value = argc > 1 ? atoi(argv[1]) : 0, seconds = argc > 2 ? atoi(argv[2]) : 0;
	int connections = argc > 3 ? atoi(argv[3]) : 0;
	bool sound = kind && value > 0 && value < 1 << 24 && seconds > 0 && connections > 0 && argc > 5;
	uint64_t end;

	for (int i = 5; sound && i < argc; i++)
		sound = read_side(argv[i]);
	if (!sound)
		return -1;
	texts = calloc(1, sizeof(*texts));
	kind->build((unsigned)value);
	for (unsigned i = 0; i < sides_n; i++)
		open_side(kind, &sides[i], (unsigned)connections);
	end = load_now_ns() + (uint64_t)seconds * NS;
	for (unsigned turn = 0; load_now_ns() < end && load_errors == 0; turn++)
		for (unsigned i = 0; i < sides_n && load_errors == 0; i++)
			run_slice(kind, &sides[(turn + i) % sides_n], argv[4], turn > 0);
	printf("requests %llu errors %llu\n", (unsigned long long)sides[0].requests,
	    (unsigned long long)load_errors);
	return 0;
}

int
load_count(int argc, char **argv)
{
	const struct kind *kind = argc == 5 ? kind_named(argv[0]) : NULL;
	int value = argc > 1 ? atoi(argv[1]) : 0, asks = argc > 2 ? atoi(argv[2]) : 0;
	int connections = argc > 3 ? atoi(argv[3]) : 0;
	struct side *s = &sides[0];

	if (kind == NULL || value <= 0 || asks <= 0 || connections <= 0)
		return -1;
	s->port = atoi(argv[4]);
	texts = calloc(1, sizeof(*texts));
	kind->build((unsigned)value);
	open_side(kind, s, (unsigned)connections);
	load_idle = s->idle;
	may_ask = (uint64_t)asks;
	run_load(kind, load_now_ns() + COUNT_WITHIN);
	printf("requests %llu errors %llu\n", (unsigned long long)load_answers,
	    (unsigned long long)load_errors);
	return 0;
}
