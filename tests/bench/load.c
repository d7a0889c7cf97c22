/*
 * What wrk and h2load cannot do for the benches, on 127.0.0.1, one process:
 *
 *   load rate PORT SECONDS CONNECTIONS RATE   requests at a fixed rate (open loop)
 *   load ws   PORT SECONDS CONNECTIONS SIZE   messages of a WebSocket, echoed one after the other
 *   load hold PORT                            idle connections after a request each
 *   load pair SECONDS CONNECTIONS NAMES PORT PIDS PORT PIDS
 *                                             one side, then the other, all the time
 *
 * With a fixed rate a request is due at its time whether or not earlier ones
 * were answered: it waits for a free connection, and its latency counts from
 * when it was due.  What the generator itself was late is printed beside it.
 * `hold` opens as many connections as each line on stdin says, answers "held
 * N", and ends with stdin.  Its requests go one after the other, so one
 * upstream connection serves them all.
 * `pair` is for differences that are small against what a machine does from
 * one second to the next: each connection has its next request once it was
 * answered; a slice of SLICE on one side, then on the other, and a line for
 * both: what the PIDS (with commas) ran for a request there, in microseconds.
 * NAMES hosts are asked in turn, one far from the next, so that of many no
 * cache holds what the last request needed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROOM (64 * 1024)
#define NS 1000000000ull
#define GRACE (2 * NS) /* for answers after the last request was due */
#define SLICE (NS / 20)
#define SETTLE_US 300 /* for what a proxy still does when its last answer is here */

struct connection {
	int fd;
	uint64_t due;          /* of the request under way */
	size_t got;            /* of its head */
	uint64_t left;         /* of its body or message */
	bool in_body, open;
	char head[4096];
	struct connection *next_idle;
};

struct text {
	char *p;
	size_t n;
};

static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
static const char upgrade[] =
    "GET /ws HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static int polled;
static char room[ROOM];
static uint64_t answers, errors;
static struct connection *idle;

/* nanoseconds from when each request was due to its answer, and to its start */
static uint64_t *latency, *lateness;
static uint64_t latency_n, lateness_n;

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static int
dial(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("load: connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void
put(int fd, const void *p, size_t n)
{
	if (send(fd, p, n, MSG_NOSIGNAL) != (ssize_t)n)
		errors++; /* a request is small: all of it or nothing */
}

/* The length behind the head, -1 when the answer is none that was asked for. */
static int64_t
body_length(const char *head, const char *status)
{
	const char *length = strcasestr(head, "\r\ncontent-length:");

	if (strncmp(head, "HTTP/1.1 ", 9) != 0 || strncmp(head + 9, status, 3) != 0)
		return -1;
	return length ? strtoll(length + 17, NULL, 10) : 0;
}

/* Collects the head; gives how many of the n bytes it took, 0 when it is too long. */
static size_t
take_head(struct connection *c, const char *p, size_t n, bool *complete)
{
	size_t before = c->got, fits = sizeof(c->head) - 1 - c->got;
	char *end;

	*complete = false;
	if (n < fits)
		fits = n;
	memcpy(c->head + c->got, p, fits);
	c->got += fits;
	c->head[c->got] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL)
		return c->got < sizeof(c->head) - 1 ? fits : 0;
	*complete = true;
	end[2] = '\0';
	return (size_t)(end + 4 - c->head) - before;
}

static void
lose(struct connection *c)
{
	close(c->fd);
	c->open = false;
	errors++;
}

static struct connection *
connections_open(int port, unsigned n)
{
	struct connection *all = calloc(n, sizeof(*all));

	polled = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < n; i++) {
		struct epoll_event e = {EPOLLIN, {.ptr = &all[i]}};

		all[i].fd = dial(port);
		all[i].open = true;
		epoll_ctl(polled, EPOLL_CTL_ADD, all[i].fd, &e);
	}
	return all;
}

/* ---- a fixed rate */

static void
answered(struct connection *c, uint64_t now)
{
	if (latency)
		latency[latency_n++] = now - c->due;
	answers++;
	c->in_body = false;
	c->got = 0;
	c->next_idle = idle;
	idle = c;
}

static void
read_answer(struct connection *c)
{
	ssize_t n = recv(c->fd, room, ROOM, MSG_DONTWAIT);
	size_t at = 0;
	bool complete;
	int64_t length;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0 && !c->in_body) {
		at = take_head(c, room, (size_t)n, &complete);
		if (at && !complete)
			return;
		length = at ? body_length(c->head, "200") : -1;
		if (length < 0)
			n = -1;
		c->in_body = true;
		c->left = (uint64_t)length;
	}
	if (n <= 0 || (uint64_t)n - at > c->left) {
		lose(c);
		return;
	}
	c->left -= (uint64_t)n - at;
	if (c->left == 0)
		answered(c, now_ns());
}

static void
ask(uint64_t due)
{
	struct connection *c = idle;
	uint64_t now = now_ns();

	idle = c->next_idle;
	c->due = due;
	lateness[lateness_n++] = now - due;
	put(c->fd, request, sizeof(request) - 1);
}

/* Waits for answers until `until`, at most. */
static void
wait_for_answers(uint64_t until, void (*on_ready)(struct connection *c))
{
	struct epoll_event events[64];
	uint64_t now = now_ns(), left = until > now ? until - now : 0;
	struct timespec t = {(time_t)(left / NS), (long)(left % NS)};
	int n = epoll_pwait2(polled, events, 64, &t, NULL);

	for (int i = 0; i < n; i++)
		if (((struct connection *)events[i].data.ptr)->open)
			on_ready(events[i].data.ptr);
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
	struct connection *all = connections_open(port, n);
	uint64_t total = (uint64_t)rate * seconds, sent = 0, start, end;

	latency = calloc(total, sizeof(*latency));
	lateness = calloc(total, sizeof(*lateness));
	for (unsigned i = 0; i < n; i++) {
		all[i].next_idle = idle;
		idle = &all[i];
	}
	prctl(PR_SET_TIMERSLACK, 1);
	start = now_ns();
	end = start + seconds * NS + GRACE;
	while (answers + errors < total && now_ns() < end) {
		uint64_t due = start + sent * NS / rate;

		while (sent < total && idle && due <= now_ns()) {
			ask(due);
			due = start + ++sent * NS / rate;
		}
		wait_for_answers(sent < total && idle ? due : end, read_answer);
	}
	printf("requests %llu errors %llu\n", (unsigned long long)answers,
	    (unsigned long long)(total - answers));
	print_latency();
}

/* ---- WebSocket messages */

static char message[ROOM];
static size_t message_n, echo_n;

/* Masked by zeros: the payload as it is. */
static void
build_message(unsigned size)
{
	size_t n = 2;

	message[0] = (char)0x82;
	if (size < 126) {
		message[1] = (char)(0x80 | size);
	} else {
		message[1] = (char)(0x80 | 126);
		message[n++] = (char)(size >> 8);
		message[n++] = (char)size;
	}
	message_n = n + 4 + size;
	echo_n = n + size;
}

static void
send_message(struct connection *c)
{
	c->left = echo_n;
	put(c->fd, message, message_n);
}

static void
read_echo(struct connection *c)
{
	ssize_t n = recv(c->fd, room, ROOM, MSG_DONTWAIT);
	bool complete;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0 && !c->in_body) {
		size_t at = take_head(c, room, (size_t)n, &complete);

		if (at && !complete)
			return;
		c->in_body = true;
		if (at == (size_t)n && body_length(c->head, "101") == 0)
			send_message(c);
		else
			lose(c);
		return;
	}
	if (n <= 0 || (uint64_t)n > c->left) {
		lose(c);
		return;
	}
	c->left -= (uint64_t)n;
	if (c->left == 0) {
		answers++;
		send_message(c);
	}
}

static void
run_ws(int port, unsigned seconds, unsigned n, unsigned size)
{
	struct connection *all = connections_open(port, n);
	uint64_t end = now_ns() + seconds * NS;

	build_message(size);
	for (unsigned i = 0; i < n; i++)
		put(all[i].fd, upgrade, sizeof(upgrade) - 1);
	while (now_ns() < end)
		wait_for_answers(end, read_echo);
	printf("requests %llu errors %llu\n", (unsigned long long)answers, (unsigned long long)errors);
}

/* ---- idle connections */

static void
hold_one(int port)
{
	int fd = dial(port);
	size_t got = 0;
	ssize_t n;

	put(fd, request, sizeof(request) - 1);
	do {
		n = recv(fd, room + got, ROOM - 1 - got, 0);
		if (n <= 0)
			die("load: no answer");
		got += (size_t)n;
		room[got] = '\0';
	} while (strstr(room, "\r\n\r\n") == NULL ||
		 got < (size_t)(strstr(room, "\r\n\r\n") + 4 - room) +
			   (size_t)body_length(room, "200"));
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

static unsigned
number(int argc, char **argv, int i)
{
	if (i >= argc || atoi(argv[i]) <= 0) {
		fprintf(stderr, "usage: load rate|ws PORT SECONDS CONNECTIONS RATE|SIZE\n"
				"       load hold PORT\n"
				"       load pair SECONDS CONNECTIONS NAMES PORT PIDS PORT PIDS\n");
		exit(2);
	}
	return (unsigned)atoi(argv[i]);
}

/* ---- pairs */

struct side {
	int polled;
	struct connection *idle;
	const char *pids;
};

static struct text *texts;
static unsigned texts_n, texts_at;

/* Hosts h0.example to h<n-1>.example, one far from the next. */
static void
build_texts(unsigned n)
{
	texts_n = n;
	texts = calloc(n, sizeof(*texts));
	for (unsigned i = 0; i < n; i++) {
		int len = asprintf(&texts[i].p, "GET / HTTP/1.1\r\nHost: h%u.example\r\n\r\n",
		    (unsigned)((i + 1) * 7919ull % n));

		if (len < 0)
			die("load");
		texts[i].n = (size_t)len;
	}
}

static struct side
side_open(int port, unsigned n)
{
	struct connection *all = connections_open(port, n);
	struct side s = {polled, NULL, NULL};

	for (unsigned i = 0; i < n; i++) {
		all[i].next_idle = s.idle;
		s.idle = &all[i];
	}
	return s;
}

/* How long these processes (each has one thread) ran. */
static uint64_t
ran_ns(const char *pids)
{
	uint64_t sum = 0;
	char *end;

	for (;; pids = end + 1) {
		long pid = strtol(pids, &end, 10);
		unsigned long long ns = 0;
		char path[64];
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%ld/schedstat", pid);
		f = fopen(path, "re");
		if (f == NULL || fscanf(f, "%llu", &ns) != 1)
			die(path);
		fclose(f);
		sum += ns;
		if (*end != ',')
			return sum;
	}
}

static unsigned
ask_all(void)
{
	unsigned n = 0;

	for (; idle; idle = idle->next_idle, n++) {
		const struct text *t = &texts[texts_at++ % texts_n];

		put(idle->fd, t->p, t->n);
	}
	return n;
}

/* Microseconds a request. */
static double
run_slice(struct side *s)
{
	uint64_t before = ran_ns(s->pids), end = now_ns() + SLICE, had = answers, asked;

	polled = s->polled;
	idle = s->idle;
	asked = ask_all();
	while (now_ns() < end && errors == 0) {
		wait_for_answers(end, read_answer);
		asked += ask_all();
	}
	while (answers - had < asked && errors == 0 && now_ns() < end + GRACE)
		wait_for_answers(end + GRACE, read_answer);
	if (answers - had < asked)
		errors++;
	s->idle = idle;
	usleep(SETTLE_US);
	return (double)(ran_ns(s->pids) - before) / 1000 / (double)asked;
}

static void
run_pair(int argc, char **argv)
{
	unsigned n = number(argc, argv, 3);
	struct side sides[2];
	uint64_t end;
	double us[2];

	build_texts(number(argc, argv, 4));
	for (int i = 0; i < 2; i++) {
		sides[i] = side_open((int)number(argc, argv, 5 + 2 * i), n);
		number(argc, argv, 6 + 2 * i); /* it is there */
		sides[i].pids = argv[6 + 2 * i];
	}
	end = now_ns() + number(argc, argv, 2) * NS;
	for (unsigned i = 0; now_ns() < end && errors == 0; i++) {
		us[i % 2] = run_slice(&sides[i % 2]);
		us[1 - i % 2] = run_slice(&sides[1 - i % 2]);
		if (i > 0) /* the first is for the caches */
			printf("pair %.3f %.3f\n", us[0], us[1]);
	}
	printf("requests %llu errors %llu\n", (unsigned long long)answers, (unsigned long long)errors);
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	const char *what = argc > 1 ? argv[1] : "";
	int port = (int)number(argc, argv, 2);

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (strcmp(what, "pair") == 0)
		run_pair(argc, argv);
	else if (strcmp(what, "hold") == 0)
		run_hold(port);
	else if (strcmp(what, "ws") == 0)
		run_ws(port, number(argc, argv, 3), number(argc, argv, 4), number(argc, argv, 5));
	else
		run_rate(port, number(argc, argv, 3), number(argc, argv, 4), number(argc, argv, 5));
	return errors > 0;
}
