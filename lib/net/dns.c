#include "lib/net/dns.h"

#include <ares.h>
#include <netdb.h>

#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"

#define TRY_MS 2000 /* first try; c-ares doubles it */
#define TRIES 3

struct dns_socket {
	struct list node;
	struct io io;
	struct dns *dns;
	int fd;
};

struct dns {
	struct loop *loop;
	ares_channel channel;
	struct list sockets;
	struct timer timer;
};

struct question {
	struct loop *loop;
	dns_answer *fn;
	void *arg;
	enum dns_family family;
	VEC(struct address) at;
	const char *why;
};

static void
socket_free(void *arg)
{
	mem_free(arg);
}

static void
arm(struct dns *d)
{
	struct timeval most = {TRY_MS / 1000, 0}, left;
	struct timeval *t = ares_timeout(d->channel, &most, &left);

	if (list_empty(&d->sockets)) {
		timer_stop(&d->timer);
		return;
	}
	timer_set(d->loop, &d->timer, (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_usec / 1000 + 1);
}

static void
on_timer(void *arg)
{
	struct dns *d = arg;

	ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(d);
}

static void
on_ready(void *arg, unsigned ready)
{
	struct dns_socket *s = arg;
	struct dns *d = s->dns;

	ares_process_fd(d->channel, ready & (IO_READ | IO_CLOSED) ? s->fd : ARES_SOCKET_BAD,
	    ready & IO_WRITE ? s->fd : ARES_SOCKET_BAD);
	arm(d);
}

static struct dns_socket *
find_socket(struct dns *d, int fd)
{
	list_for_each(n, &d->sockets) {
		struct dns_socket *s = list_entry(n, struct dns_socket, node);

		if (s->fd == fd)
			return s;
	}
	return NULL;
}

/* c-ares says which of its sockets it waits for, and 0, 0 before it closes one. */
static void
on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns *d = arg;
	struct dns_socket *s = find_socket(d, fd);
	unsigned what = (readable ? IO_READ : 0) | (writable ? IO_WRITE : 0);

	if (s == NULL && what != 0) {
		s = mem_new(struct dns_socket);
		s->dns = d;
		s->fd = fd;
		list_push_back(&d->sockets, &s->node);
		io_add_level(d->loop, &s->io, fd, what, on_ready, s);
	} else if (s && what != 0) {
		io_change_level(&s->io, what);
	} else if (s) {
		list_remove(&s->node);
		io_del(&s->io);
		loop_defer(d->loop, socket_free, s);
	}
}

struct dns *
dns_new(struct loop *l, struct err *err)
{
	struct dns *d = mem_new(struct dns);
	struct ares_options o = {0};
	int rc;

	d->loop = l;
	list_init(&d->sockets);
	timer_init(&d->timer, on_timer, d);
	o.sock_state_cb = on_socket;
	o.sock_state_cb_data = d;
	o.timeout = TRY_MS;
	o.tries = TRIES;
	rc = ares_library_init(ARES_LIB_INIT_ALL);
	if (rc == ARES_SUCCESS)
		rc = ares_init_options(
		    &d->channel, &o, ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
	if (rc != ARES_SUCCESS) {
		err_set(err, "resolver: %s", ares_strerror(rc));
		mem_free(d);
		return NULL;
	}
	return d;
}

void
dns_free(struct dns **dp)
{
	struct dns *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	ares_destroy(d->channel); /* answers what is open, closes its sockets */
	timer_stop(&d->timer);
	list_for_each(n, &d->sockets) {
		struct dns_socket *s = list_entry(n, struct dns_socket, node);

		io_del(&s->io);
		mem_free(s);
	}
	ares_library_cleanup();
	mem_free(d);
}

static bool
has_family(const struct ares_addrinfo *ai, int family)
{
	for (const struct ares_addrinfo_node *n = ai->nodes; n; n = n->ai_next)
		if (n->ai_family == family)
			return true;
	return false;
}

static bool
takes(const struct question *q, const struct ares_addrinfo *ai, int family)
{
	switch (q->family) {
	case DNS_AUTO:
		return family == (has_family(ai, AF_INET6) ? AF_INET6 : AF_INET);
	case DNS_V4_PREFERRED:
		return family == (has_family(ai, AF_INET) ? AF_INET : AF_INET6);
	case DNS_V4_ONLY:
		return family == AF_INET;
	case DNS_V6_ONLY:
		return family == AF_INET6;
	default:
		return true;
	}
}

static void
add_address(struct question *q, const struct ares_addrinfo_node *n)
{
	struct address a;

	address_from_sockaddr(&a, n->ai_addr, n->ai_addrlen);
	for (size_t i = 0; i < q->at.len; i++)
		if (address_eq(&q->at.at[i], &a))
			return;
	*vec_push(&q->at) = a;
}

static void
tell(void *arg)
{
	struct question *q = arg;

	q->fn(q->arg, q->at.at, q->at.len, q->at.len ? NULL : q->why);
	vec_fini(&q->at);
	mem_free(q);
}

/* Told at the end of the turn, so that the asker is never called from inside dns_resolve(). */
static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct question *q = arg;

	q->why = status == ARES_SUCCESS ? "no address of the wanted family" : ares_strerror(status);
	for (const struct ares_addrinfo_node *n = ai ? ai->nodes : NULL; n; n = n->ai_next)
		if (takes(q, ai, n->ai_family))
			add_address(q, n);
	if (ai)
		ares_freeaddrinfo(ai);
	if (status == ARES_EDESTRUCTION)
		tell(q);
	else
		loop_defer(q->loop, tell, q);
}

void
dns_resolve(struct dns *d, struct str name, uint16_t port, enum dns_family family, dns_answer *fn,
    void *arg)
{
	struct question *q = mem_new(struct question);
	struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NUMERICSERV | ARES_AI_NOSORT,
	    .ai_family = family == DNS_V4_ONLY ? AF_INET : family == DNS_V6_ONLY ? AF_INET6 : AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM};
	char service[8], *host = str_dupz(name);

	service[u64_write(service, port)] = '\0';
	*q = (struct question){.loop = d->loop, .fn = fn, .arg = arg, .family = family};
	ares_getaddrinfo(d->channel, host, service, &hints, on_answer, q);
	mem_free(host);
	arm(d);
}
