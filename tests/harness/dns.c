#include "tests/harness/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/scene.h"

#define NAMES 16
#define ADDRESSES 32
#define WAITING 64
#define TYPE_A 1
#define TYPE_AAAA 28

struct entry {
	char name[64];
	struct dns_says says; /* its texts are not used: they are another process's */
	unsigned n4, n6;
	uint8_t v4[ADDRESSES][4], v6[ADDRESSES][16];
	unsigned asked, asked_tcp;
};

struct dns_board {
	pthread_mutex_t lock; /* between the processes */
	unsigned n;
	struct entry names[NAMES];
};

/* ---- what it says */

static struct entry *
find(struct dns_board *b, const char *name)
{
	for (unsigned i = 0; i < b->n; i++)
		if (strcasecmp(b->names[i].name, name) == 0)
			return &b->names[i];
	return NULL;
}

static unsigned
read_addresses(int family, const char *text, void *out, size_t each)
{
	char copy[1024], *at = copy, *word;
	unsigned n = 0;

	snprintf(copy, sizeof(copy), "%s", text ? text : "");
	while ((word = strsep(&at, " ")) != NULL) {
		if (*word == '\0')
			continue;
		assert_true(n < ADDRESSES);
		assert_int_equal(inet_pton(family, word, (char *)out + each * n++), 1);
	}
	return n;
}

void
dns_server_say(struct dns_server *s, const char *name, struct dns_says what)
{
	struct dns_board *b = s->board;
	struct entry *e;

	pthread_mutex_lock(&b->lock);
	e = find(b, name);
	if (e == NULL) {
		assert_true(b->n < NAMES);
		e = &b->names[b->n++];
		snprintf(e->name, sizeof(e->name), "%s", name);
	}
	e->says = what;
	e->n4 = read_addresses(AF_INET, what.v4, e->v4, 4);
	e->n6 = read_addresses(AF_INET6, what.v6, e->v6, 16);
	pthread_mutex_unlock(&b->lock);
}

unsigned
dns_server_asked(struct dns_server *s, const char *name)
{
	struct entry *e;
	unsigned n;

	pthread_mutex_lock(&s->board->lock);
	e = find(s->board, name);
	n = e ? e->asked : 0;
	pthread_mutex_unlock(&s->board->lock);
	return n;
}

unsigned
dns_server_asked_tcp(struct dns_server *s, const char *name)
{
	struct entry *e;
	unsigned n;

	pthread_mutex_lock(&s->board->lock);
	e = find(s->board, name);
	n = e ? e->asked_tcp : 0;
	pthread_mutex_unlock(&s->board->lock);
	return n;
}

/* ---- the child: one question after the other */

struct question {
	uint8_t bytes[512];
	size_t n;
	char name[64];
	unsigned type;
	bool tcp;
	struct sockaddr_in from;
	int fd; /* where the answer goes; TCP: closed after it */
};

struct serving {
	struct dns_board *board;
	int udp, tcp;
	struct question waiting[WAITING];
	unsigned waiting_n;
};

/* False when it is no question that we understand. */
static bool
parse(struct question *q)
{
	size_t at = 12, out = 0;

	if (q->n < 17)
		return false;
	while (at < q->n && q->bytes[at]) {
		unsigned len = q->bytes[at++];

		if (len > 63 || at + len + 5 > q->n || out + len + 2 > sizeof(q->name))
			return false;
		if (out)
			q->name[out++] = '.';
		memcpy(q->name + out, q->bytes + at, len);
		out += len;
		at += len;
	}
	q->name[out] = '\0';
	q->type = (unsigned)q->bytes[at + 1] << 8 | q->bytes[at + 2];
	q->n = at + 5; /* without what follows the question */
	return true;
}

static size_t
put_record(uint8_t *p, unsigned type, uint32_t ttl, const void *address, unsigned n)
{
	uint8_t head[12] = {0xc0, 12, 0, (uint8_t)type, 0, 1, (uint8_t)(ttl >> 24),
	    (uint8_t)(ttl >> 16), (uint8_t)(ttl >> 8), (uint8_t)ttl, 0, (uint8_t)n};

	memcpy(p, head, 12);
	memcpy(p + 12, address, n);
	return 12 + n;
}

static size_t
write_answer(const struct question *q, const struct entry *e, uint8_t *p)
{
	size_t n = q->n;
	bool cut = e && e->says.cut && !q->tcp;
	unsigned count = 0, rcode = e ? (unsigned)e->says.rcode : DNS_RCODE_NXDOMAIN;

	memcpy(p, q->bytes, n);
	for (unsigned i = 0; e && !cut && rcode == 0 && q->type == TYPE_A && i < e->n4; i++, count++)
		n += put_record(p + n, TYPE_A, e->says.ttl, e->v4[i], 4);
	for (unsigned i = 0; e && !cut && rcode == 0 && q->type == TYPE_AAAA && i < e->n6; i++, count++)
		n += put_record(p + n, TYPE_AAAA, e->says.ttl, e->v6[i], 16);
	p[2] = (uint8_t)(0x84 | (p[2] & 1) | (cut ? 2 : 0));
	p[3] = (uint8_t)(0x80 | rcode);
	p[4] = 0;
	p[5] = 1;
	p[6] = 0;
	p[7] = (uint8_t)count;
	memset(p + 8, 0, 4);
	return n;
}

static void
answer(const struct question *q, const struct entry *e)
{
	uint8_t out[4096];
	size_t n = write_answer(q, e, out + 2);

	out[0] = (uint8_t)(n >> 8);
	out[1] = (uint8_t)n;
	if (q->tcp) {
		if (write(q->fd, out, n + 2) < 0)
			perror("dns server");
		close(q->fd);
	} else {
		sendto(q->fd, out + 2, n, 0, (const struct sockaddr *)&q->from, sizeof(q->from));
	}
}

static void
handle(struct serving *s, struct question *q)
{
	struct entry *e;

	if (!parse(q)) {
		if (q->tcp)
			close(q->fd);
		return;
	}
	e = find(s->board, q->name);
	if (e) {
		e->asked++;
		e->asked_tcp += q->tcp;
	}
	if (e && e->says.held && s->waiting_n < WAITING)
		s->waiting[s->waiting_n++] = *q;
	else if (e && e->says.silent)
		q->tcp ? close(q->fd) : 0;
	else
		answer(q, e);
}

/* Those that need not wait any more. */
static void
look_at_waiting(struct serving *s)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < s->waiting_n; i++) {
		struct entry *e = find(s->board, s->waiting[i].name);

		if (e && e->says.held)
			s->waiting[kept++] = s->waiting[i];
		else
			answer(&s->waiting[i], e);
	}
	s->waiting_n = kept;
}

static void
read_udp(struct serving *s)
{
	struct question q = {.fd = s->udp};
	socklen_t len = sizeof(q.from);
	ssize_t n = recvfrom(
	    s->udp, q.bytes, sizeof(q.bytes), 0, (struct sockaddr *)&q.from, &len);

	q.n = n > 0 ? (size_t)n : 0;
	if (n > 0)
		handle(s, &q);
}

/* One question a connection. */
static void
read_tcp(struct serving *s)
{
	struct question q = {.tcp = true, .fd = accept(s->tcp, NULL, NULL)};
	uint8_t size[2];
	size_t want;

	if (q.fd < 0)
		return;
	if (recv(q.fd, size, 2, MSG_WAITALL) != 2 ||
	    (want = (size_t)size[0] << 8 | size[1]) > sizeof(q.bytes) ||
	    recv(q.fd, q.bytes, want, MSG_WAITALL) != (ssize_t)want) {
		close(q.fd);
		return;
	}
	q.n = want;
	handle(s, &q);
}

static void
serve(struct serving *s)
{
	struct pollfd p[2] = {{.fd = s->udp, .events = POLLIN}, {.fd = s->tcp, .events = POLLIN}};

	for (;;) {
		poll(p, 2, s->waiting_n ? 5 : 1000);
		pthread_mutex_lock(&s->board->lock);
		if (p[0].revents)
			read_udp(s);
		if (p[1].revents)
			read_tcp(s);
		look_at_waiting(s);
		pthread_mutex_unlock(&s->board->lock);
	}
}

/* ---- life */

/* Both protocols on one number. */
static bool
open_both(struct serving *s, uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	s->udp = socket(AF_INET, SOCK_DGRAM, 0);
	s->tcp = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(s->tcp, (struct sockaddr *)&at, sizeof(at)) == 0 &&
	    getsockname(s->tcp, (struct sockaddr *)&at, &len) == 0 &&
	    bind(s->udp, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(s->tcp, 16) == 0) {
		*port = ntohs(at.sin_port);
		return true;
	}
	close(s->udp);
	close(s->tcp);
	return false;
}

void
dns_server_start(struct dns_server *s)
{
	static struct serving serving;
	pthread_mutexattr_t shared;

	s->board = mmap(NULL, sizeof(*s->board), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(s->board != MAP_FAILED);
	pthread_mutexattr_init(&shared);
	pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->board->lock, &shared);
	serving = (struct serving){.board = s->board};
	for (unsigned tries = 0; !open_both(&serving, &s->port); tries++)
		assert_true(tries < 100);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(&serving);
		_exit(0);
	}
	close(serving.udp);
	close(serving.tcp);
}

void
dns_server_stop(struct dns_server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	munmap(s->board, sizeof(*s->board));
}
