#include "lib/net/dns.h"

#include <ares.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"

#define TRY_MS 2000 /* first try; c-ares doubles it */
#define TRIES 3
#define RESOLV_CONF "/etc/resolv.conf"

struct dns_socket {
	struct list node;
	struct io io;
	struct dns *dns;
	int fd;
};

struct dns {
	struct loop *loop;
	struct dns_settings settings;
	ares_channel channel;
	struct list sockets;
	struct timer timer;
	struct timespec resolv_conf; /* when it was changed, as the channel read it */
	size_t open;                 /* parts of questions that c-ares has */
	size_t asked;                /* of this channel */
	bool broken;                 /* a server refused: a new channel for the next question */
	bool stale;                  /* servers were silent: a new one when nothing is open */
	bool ending;
};

/* One family of a question. */
struct part {
	struct dns_question *question;
	int family, status, timeouts;
	uint32_t ttl_s;
	VEC(struct address) at;
};

struct dns_question {
	struct dns *dns; /* not after its last part came */
	struct loop *loop;
	dns_answer *fn; /* NULL: cancelled */
	void *arg;
	enum dns_family family;
	uint16_t port;
	struct part v4, v6;
	unsigned open; /* parts, and dns_resolve() while it runs */
};

/* ---- sockets and time of a channel */

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

/* ---- the channel: made anew when what it was told holds no longer */

static struct timespec
resolv_conf_time(void)
{
	struct stat st;

	return stat(RESOLV_CONF, &st) == 0 ? st.st_mtim : (struct timespec){0, 0};
}

/* c-ares' own guess when the system names nobody: 127.0.0.1. */
static bool
system_has_servers(ares_channel channel)
{
	struct ares_addr_port_node *first = NULL;
	bool guessed;

	if (ares_get_servers_ports(channel, &first) != ARES_SUCCESS || first == NULL)
		return false;
	guessed = first->next == NULL && first->family == AF_INET && first->udp_port == 0 &&
	    first->addr.addr4.s_addr == htonl(INADDR_LOOPBACK);
	ares_free_data(first);
	return !guessed;
}

static int
set_servers(struct dns *d)
{
	const struct dns_settings *s = &d->settings;
	struct ares_addr_port_node nodes[DNS_SERVERS] = {0};

	if (s->servers_n == 0 || (s->fallback && system_has_servers(d->channel)))
		return ARES_SUCCESS;
	for (size_t i = 0; i < s->servers_n; i++) {
		const struct address *a = &s->servers[i];

		nodes[i].next = i + 1 < s->servers_n ? &nodes[i + 1] : NULL;
		nodes[i].family = a->sa.sa_family;
		nodes[i].udp_port = nodes[i].tcp_port = address_port(a);
		if (a->sa.sa_family == AF_INET6)
			memcpy(&nodes[i].addr.addr6, &a->in6.sin6_addr, 16);
		else
			nodes[i].addr.addr4 = a->in4.sin_addr;
	}
	return ares_set_servers_ports(d->channel, nodes);
}

static int
open_channel(struct dns *d)
{
	const struct dns_settings *s = &d->settings;
	struct ares_options o = {0};
	int rc;

	o.sock_state_cb = on_socket;
	o.sock_state_cb_data = d;
	o.timeout = s->try_ms ? (int)s->try_ms : TRY_MS;
	o.tries = s->tries ? (int)s->tries : TRIES;
	o.flags = (s->tcp ? ARES_FLAG_USEVC : 0) | (s->no_search ? ARES_FLAG_NOSEARCH : 0);
	d->resolv_conf = resolv_conf_time();
	d->broken = d->stale = false;
	d->asked = 0;
	rc = ares_init_options(&d->channel, &o,
	    ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
	        (o.flags ? ARES_OPT_FLAGS : 0) | (s->rotate ? ARES_OPT_ROTATE : 0));
	if (rc != ARES_SUCCESS)
		return rc;
	rc = set_servers(d);
	if (rc != ARES_SUCCESS)
		ares_destroy(d->channel);
	return rc;
}

static void
refresh_channel(struct dns *d)
{
	ares_channel before = d->channel;
	struct timespec now = resolv_conf_time();
	bool other = now.tv_sec != d->resolv_conf.tv_sec || now.tv_nsec != d->resolv_conf.tv_nsec;

	if (d->settings.channel_questions && d->asked >= d->settings.channel_questions)
		d->stale = true;
	if (!(d->broken || other || (d->stale && d->open == 0)))
		return;
	if (open_channel(d) != ARES_SUCCESS) {
		d->channel = before; /* better than none */
		return;
	}
	ares_destroy(before); /* what was open fails, and its askers ask again */
}

struct dns *
dns_new(struct loop *l, const struct dns_settings *s, struct err *err)
{
	struct dns *d = mem_new(struct dns);
	int rc;

	d->loop = l;
	if (s)
		d->settings = *s;
	list_init(&d->sockets);
	timer_init(&d->timer, on_timer, d);
	rc = ares_library_init(ARES_LIB_INIT_ALL);
	if (rc == ARES_SUCCESS)
		rc = open_channel(d);
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
	d->ending = true;
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

/* ---- the answer, when both families have theirs */

/* The answer says so: nothing there. */
static bool
is_empty(int status)
{
	return status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
}

static void
take(struct part *all, const struct part *p)
{
	for (size_t i = 0; i < p->at.len; i++)
		*vec_push(&all->at) = p->at.at[i];
	if (p->at.len && (all->ttl_s == 0 || (p->ttl_s && p->ttl_s < all->ttl_s)))
		all->ttl_s = p->ttl_s;
}

/* The addresses that the question's family wants of both parts. */
static void
choose(struct dns_question *q, struct part *all)
{
	bool v4_first = q->family == DNS_V4_PREFERRED || q->family == DNS_ALL;

	take(all, v4_first ? &q->v4 : &q->v6);
	if (all->at.len == 0 || q->family == DNS_ALL)
		take(all, v4_first ? &q->v6 : &q->v4);
}

static void
question_free(struct dns_question *q)
{
	vec_fini(&q->v4.at);
	vec_fini(&q->v6.at);
	mem_free(q);
}

static void
tell(void *arg)
{
	struct dns_question *q = arg;
	struct part all = {0};
	struct dns_found f = {0};
	int status = is_empty(q->v6.status) ? q->v4.status : q->v6.status;

	choose(q, &all);
	f.at = all.at.at;
	f.n = all.at.len;
	f.ttl_s = all.ttl_s;
	f.timeouts = (unsigned)(q->v4.timeouts + q->v6.timeouts);
	f.failed = f.n == 0 && !is_empty(status);
	if (f.n == 0)
		f.why = status == ARES_SUCCESS ? "no address of the wanted family" : ares_strerror(status);
	if (q->fn)
		q->fn(q->arg, &f);
	vec_fini(&all.at);
	question_free(q);
}

/* Told at the end of the turn, so that the asker is never called from inside dns_resolve(). */
static void
part_is_done(struct dns_question *q, bool at_once)
{
	if (--q->open > 0)
		return;
	if (at_once)
		tell(q);
	else
		loop_defer(q->loop, tell, q);
}

/* ---- asking */

static void
add_address(struct part *p, const struct ares_addrinfo_node *n)
{
	struct address a;

	if (n->ai_family != p->family)
		return;
	address_from_sockaddr(&a, n->ai_addr, n->ai_addrlen);
	for (size_t i = 0; i < p->at.len; i++)
		if (address_eq(&p->at.at[i], &a))
			return;
	*vec_push(&p->at) = a;
	if (n->ai_ttl > 0 && (p->ttl_s == 0 || (uint32_t)n->ai_ttl < p->ttl_s))
		p->ttl_s = (uint32_t)n->ai_ttl;
}

static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct part *p = arg;
	struct dns *d = p->question->dns;

	d->open--;
	d->broken |= status == ARES_ECONNREFUSED;
	d->stale |= status == ARES_ETIMEOUT;
	p->status = status;
	p->timeouts = timeouts;
	for (const struct ares_addrinfo_node *n = ai ? ai->nodes : NULL; n; n = n->ai_next)
		add_address(p, n);
	if (ai)
		ares_freeaddrinfo(ai);
	part_is_done(p->question, d->ending);
}

static void
ask(struct dns_question *q, struct part *p, const char *host)
{
	struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NUMERICSERV | ARES_AI_NOSORT,
	    .ai_family = p->family, .ai_socktype = SOCK_STREAM};
	char service[8];

	service[u64_write(service, q->port)] = '\0';
	q->open++;
	q->dns->open++;
	q->dns->asked++;
	ares_getaddrinfo(q->dns->channel, host, service, &hints, on_answer, p);
}

/* Which families any interface could send to; loopback counts when there is nothing else. */
static void
routable(bool *v4, bool *v6)
{
	struct ifaddrs *all = NULL;

	*v4 = *v6 = false;
	if (getifaddrs(&all) == 0) {
		for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
			int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
			const struct sockaddr_in6 *in6 = (const void *)i->ifa_addr;

			if (i->ifa_flags & IFF_LOOPBACK || !(i->ifa_flags & IFF_UP))
				continue;
			*v4 |= family == AF_INET;
			*v6 |= family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr);
		}
		freeifaddrs(all);
	}
	if (!*v4 && !*v6)
		*v4 = *v6 = true;
}

/* True when the name is an address: both parts are answered. */
static bool
is_address(struct dns_question *q, struct str name)
{
	struct address a;
	struct part *p;

	if (address_from_ip(&a, name, q->port, NULL) < 0)
		return false;
	p = a.sa.sa_family == AF_INET6 ? &q->v6 : &q->v4;
	if (q->family != (p == &q->v6 ? DNS_V4_ONLY : DNS_V6_ONLY))
		*vec_push(&p->at) = a;
	return true;
}

static void
ask_families(struct dns_question *q, struct str name)
{
	char *host = str_dupz(name);
	bool v4 = true, v6 = true;

	if (q->dns->settings.routable_only)
		routable(&v4, &v6);
	if (v6 && q->family != DNS_V4_ONLY)
		ask(q, &q->v6, host);
	if (v4 && q->family != DNS_V6_ONLY)
		ask(q, &q->v4, host);
	mem_free(host);
}

struct dns_question *
dns_resolve(struct dns *d, struct str name, uint16_t port, enum dns_family family, dns_answer *fn,
    void *arg)
{
	struct dns_question *q = mem_new(struct dns_question);

	*q = (struct dns_question){.dns = d, .loop = d->loop, .fn = fn, .arg = arg, .family = family,
	    .port = port, .v4 = {.question = q, .family = AF_INET},
	    .v6 = {.question = q, .family = AF_INET6}, .open = 1};
	if (!is_address(q, name)) {
		refresh_channel(d);
		ask_families(q, name);
		arm(d);
	}
	part_is_done(q, false);
	return q;
}

void
dns_cancel(struct dns_question **qp)
{
	if (*qp)
		(*qp)->fn = NULL;
	*qp = NULL;
}
