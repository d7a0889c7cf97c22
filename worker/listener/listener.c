#include "worker/listener/listener.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/net/address.h"
#include "lib/net/socket.h"
#include "worker/hcm/config.h"
#include "worker/listener/config.h"
#include "worker/snapshot.h"

/* Out of descriptors: wait, for longer each time, up to the limit. */
#define PAUSE_FIRST_MS 20u
#define PAUSE_MOST_MS 320u

struct accept_socket {
	struct io io;
	struct listener *listener;
	int fd;
	unsigned index;
	bool polled;
	bool ended; /* refuses connections, for good */
	bool handed; /* a service manager listens on it too */
	bool any; /* bound to every address: connections are asked for theirs */
	struct address local;
};

struct listener {
	struct listeners *all;
	struct str key;			      /* owned */
	const struct listener_config *config; /* NULL: no configuration yet, or no more */
	struct hcm_place place;
	VEC(struct accept_socket *) sockets;
	bool stopped;
	struct timer pause;
	uint32_t pause_ms; /* 0: accepting */
};

static struct loop *
loop_of(const struct listener *l)
{
	return l->all->hcm->loop;
}

/* ---- polling or not */

static bool
should_poll(const struct listener *l)
{
	return l->config && l->config->on_port && !l->stopped && !l->all->stopped &&
	       !timer_armed(&l->pause);
}

static void
poll_sockets(struct listener *l)
{
	bool on = should_poll(l);

	for (size_t i = 0; i < l->sockets.len; i++) {
		struct accept_socket *s = l->sockets.at[i];
		bool poll = on && !s->ended;

		if (s->polled == poll)
			continue;
		s->polled = poll;
		io_change_level(&s->io, poll ? IO_READ : 0);
	}
}

static void
on_pause_over(void *arg)
{
	poll_sockets(arg);
}

static void
pause_accept(struct listener *l, int error)
{
	if (l->pause_ms == 0)
		log_warning(LOG_CONN_HANDLER, "listener '" STR_FMT "': cannot accept: %s",
		    STR_ARG(l->key), strerror(error));
	l->pause_ms = l->pause_ms ? l->pause_ms * 2 : PAUSE_FIRST_MS;
	if (l->pause_ms > PAUSE_MOST_MS)
		l->pause_ms = PAUSE_MOST_MS;
	timer_set(loop_of(l), &l->pause, l->pause_ms);
	poll_sockets(l);
}

/* ---- accepting */

static void
open_connection(struct accept_socket *s, int fd, const struct sockaddr *sa, socklen_t len)
{
	struct listener *l = s->listener;
	struct address remote, local;

	address_from_sockaddr(&remote, sa, len);
	if (s->any)
		address_local(&local, fd);
	hcm_open(l->all->hcm, &l->place, fd, &remote, s->any ? &local : &s->local);
}

/* One connection; false when there is none, or none can be taken now. */
static bool
accept_one(struct accept_socket *s)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int fd = accept4(s->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		s->listener->pause_ms = 0;
		open_connection(s, fd, (struct sockaddr *)&sa, len);
		return true;
	}
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		pause_accept(s->listener, errno);
		return false;
	case EAGAIN:
		return false;
	case EINVAL: /* it listens no more: another worker stopped it */
		s->ended = true;
		poll_sockets(s->listener);
		return false;
	default: /* this client gave up: ECONNABORTED, EINTR, EPROTO … */
		return true;
	}
}

static void
on_acceptable(void *arg, unsigned ready)
{
	struct accept_socket *s = arg;
	struct listener *l = s->listener;
	uint32_t n = 0;

	while (s->polled && n < l->config->accept_budget && accept_one(s))
		n++;
	if (n)
		stat_record(&l->place.stats->connections_accepted_per_socket_event, n);
}

/* A queue is never closed full: who waits in it is accepted first. */
#define LAST_CONNECTIONS 4096

static void
accept_the_rest(struct accept_socket *s)
{
	const struct listener *l = s->listener;

	if (s->ended || l->config == NULL || !l->config->on_port)
		return;
	for (unsigned n = 0; n < LAST_CONNECTIONS && accept_one(s); n++)
		;
}

/*
 * shutdown() and not close(): master and the other workers hold the same
 * socket, and a client that nobody will accept must be refused, not left
 * waiting in the queue.  In a service manager's socket it may wait: the
 * next start is handed it again.
 */
static void
refuse_connections(struct listener *l)
{
	for (size_t i = 0; i < l->sockets.len; i++) {
		struct accept_socket *s = l->sockets.at[i];

		if (s->ended)
			continue;
		accept_the_rest(s);
		s->ended = true;
		if (!s->handed)
			shutdown(s->fd, SHUT_RD);
	}
}

/* ---- sockets */

/* Connections inherit these from the listening socket. */
static void
set_options(const struct listener *l)
{
	for (size_t i = 0; i < l->sockets.len; i++) {
		struct accept_socket *s = l->sockets.at[i];

		if (address_is_ip(&s->local))
			socket_nodelay(s->fd);
		if (l->config && l->config->keepalive)
			socket_keepalive(s->fd, &l->config->keepalive_options);
	}
}

static void
close_socket(void *arg)
{
	struct accept_socket *s = arg;

	io_del(&s->io);
	close(s->fd);
	mem_free(s);
}

static void
remove_socket(struct listener *l, unsigned index)
{
	for (size_t i = 0; i < l->sockets.len; i++) {
		struct accept_socket *s = l->sockets.at[i];

		if (s->index != index)
			continue;
		vec_remove(&l->sockets, i);
		s->polled = false;
		io_del(&s->io);
		loop_defer(loop_of(l), close_socket, s); /* its callback may be on the stack */
		return;
	}
}

static struct listener *
find(struct listeners *ls, struct str key)
{
	for (size_t i = 0; i < ls->all.len; i++)
		if (str_eq(ls->all.at[i]->key, key))
			return ls->all.at[i];
	return NULL;
}

static struct listener *
find_or_add(struct listeners *ls, struct str key)
{
	struct listener *l = find(ls, key);

	if (l)
		return l;
	l = mem_new(struct listener);
	l->all = ls;
	l->key = str_make(mem_strndup(key.p, key.n), key.n);
	l->place.key = l->key;
	timer_init(&l->pause, on_pause_over, l);
	*vec_push(&ls->all) = l;
	return l;
}

void
listeners_add_socket(struct listeners *ls, const struct listener_socket *add)
{
	struct listener *l = find_or_add(ls, add->key);
	struct accept_socket *s = mem_new(struct accept_socket);

	remove_socket(l, add->index);
	s->listener = l;
	s->fd = add->fd;
	s->index = add->index;
	s->handed = add->handed;
	address_local(&s->local, s->fd);
	s->any = address_is_any(&s->local);
	io_add_level(ls->hcm->loop, &s->io, s->fd, 0, on_acceptable, s);
	*vec_push(&l->sockets) = s;
	set_options(l);
	poll_sockets(l);
}

void
listeners_take_back(struct listeners *ls, struct str key, unsigned index)
{
	struct listener *l = find(ls, key);

	if (l == NULL)
		return;
	for (size_t i = 0; i < l->sockets.len; i++)
		if (l->sockets.at[i]->index == index && l->sockets.at[i]->polled)
			accept_the_rest(l->sockets.at[i]);
	remove_socket(l, index);
}

bool
listeners_socket(const struct listeners *ls, size_t n, struct listener_socket *out)
{
	for (size_t i = 0; i < ls->all.len; i++) {
		const struct listener *l = ls->all.at[i];

		if (n < l->sockets.len) {
			const struct accept_socket *s = l->sockets.at[n];

			*out = (struct listener_socket){l->key, s->index, s->fd, s->handed};
			return true;
		}
		n -= l->sockets.len;
	}
	return false;
}

struct hcm_place *
listeners_place(struct listeners *ls, struct str key)
{
	struct listener *l = find(ls, key);

	return l && l->config && l->config->on_port ? &l->place : NULL;
}

/* ---- configuration */

static void
set_config(struct listener *l, const struct listener_config *c, struct snapshot *s)
{
	struct snapshot *old = l->place.snapshot;

	l->config = c;
	l->place.config = c->hcm;
	l->place.snapshot = snapshot_ref(s);
	l->place.stats = c->stats;
	l->place.worker_stats = c->worker_stats;
	l->place.modify_only = c->modify_only;
	snapshot_unref(&old);
	set_options(l);
	l->place.came_back = l->place.end_ns != 0;
	if (l->place.came_back)
		l->place.told_ns = 0;
	l->place.end_ns = 0;
	poll_sockets(l);
}

/* Its address is not configured any more.  Who waits in its queues has connected and is served; all
 * its connections go on under what they have. */
static void
drop_config(struct listener *l)
{
	if (l->config == NULL)
		return;
	refuse_connections(l);
	while (l->sockets.len)
		remove_socket(l, l->sockets.at[0]->index);
	l->stopped = false; /* it was these sockets that were */
	l->config = NULL;
	l->place.config = NULL;
	snapshot_unref(&l->place.snapshot);
	hcm_leave_place(l->all->hcm, &l->place);
}

void
listeners_use(struct listeners *ls, struct snapshot *s)
{
	const struct listener_config *c;

	for (size_t i = 0; i < ls->all.len; i++)
		if (snapshot_listener_by_key(s, ls->all.at[i]->key) == NULL)
			drop_config(ls->all.at[i]);
	for (unsigned i = 0; (c = snapshot_listener(s, i)) != NULL; i++)
		set_config(find_or_add(ls, c->key), c, s);
	hcm_adopt(ls->hcm);
	for (size_t i = 0; i < ls->all.len; i++)
		ls->all.at[i]->place.came_back = false;
}

/* ---- stopping */

void
listeners_stop(struct listeners *ls, bool inbound_only)
{
	if (!inbound_only)
		ls->stopped = true;
	for (size_t i = 0; i < ls->all.len; i++) {
		struct listener *l = ls->all.at[i];

		if (inbound_only && (l->config == NULL || !l->config->inbound))
			continue;
		l->stopped = true;
		poll_sockets(l);
		refuse_connections(l);
	}
}

void
listeners_rest(struct listeners *ls)
{
	ls->stopped = true;
	for (size_t i = 0; i < ls->all.len; i++)
		poll_sockets(ls->all.at[i]);
}

void
listeners_resume(struct listeners *ls)
{
	ls->stopped = false;
	for (size_t i = 0; i < ls->all.len; i++)
		poll_sockets(ls->all.at[i]);
}

void
listeners_drain(struct listeners *ls, bool inbound_only)
{
	for (size_t i = 0; i < ls->all.len; i++) {
		struct listener *l = ls->all.at[i];

		if (!inbound_only || (l->config && l->config->inbound))
			hcm_tell_place(ls->hcm, &l->place);
	}
}

void
listeners_init(struct listeners *ls, struct hcm *hcm)
{
	*ls = (struct listeners){.hcm = hcm};
}

void
listeners_fini(struct listeners *ls)
{
	for (size_t i = 0; i < ls->all.len; i++) {
		struct listener *l = ls->all.at[i];

		timer_stop(&l->pause);
		for (size_t k = 0; k < l->sockets.len; k++)
			close_socket(l->sockets.at[k]);
		vec_fini(&l->sockets);
		snapshot_unref(&l->place.snapshot);
		mem_free((char *)(uintptr_t)l->key.p);
		mem_free(l);
	}
	vec_fini(&ls->all);
}
