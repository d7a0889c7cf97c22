#include "worker/handover.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/ipc/handover.h"
#include "worker/drain.h"
#include "worker/hcm/hcm.h"
#include "worker/listener/listener.h"

#define UNANSWERED_MOST 64u
#define PACKET_MOST 2048u
#define ANOTHER_WAY_NS (3 * NS_PER_S)

struct offered {
	struct list node;
	int fd;
	struct hcm_place *place;
	struct hcm_given given;
};

struct handover_way {
	struct list node; /* of handover->from, or ->before */
	struct handover *all;
	struct io io;
	int fd;
	struct list offered; /* in the order of sending, which is that of the answers */
	unsigned unanswered;
	bool full;
};

/* ---- giving */

static void
write_offer(struct strb *b, const struct hcm_place *place, const struct hcm_given *g)
{
	handover_begin(b, HANDOVER_CONNECTION);
	handover_put_s(b, FIELD_KEY, place->key);
	handover_put_u(b, FIELD_CONNECTION_ID, g->id);
	handover_put_s(b, FIELD_REMOTE, str_make((const char *)&g->remote.sa, g->remote.len));
	handover_put_s(b, FIELD_LOCAL, str_make((const char *)&g->local.sa, g->local.len));
	handover_put_u(b, FIELD_OPENED_NS, g->opened_ns);
	handover_put_u(b, FIELD_REQUESTS, g->requests);
	handover_put_u(b, FIELD_HTTP1, g->http1);
}

/* `refused`: not to be offered again. */
static void
keep(struct handover *h, struct offered *o, bool refused)
{
	list_remove(&o->node);
	o->given.kept = refused;
	if (o->place->config)
		hcm_take(h->hcm, o->place, o->fd, &o->given);
	else
		close(o->fd);
	mem_free(o);
}

/* False: the way is full for now. */
static bool
offer(struct handover_way *w, struct hcm_conn *c)
{
	struct offered *o;
	struct strb b = {0};
	int sent;

	if (w->unanswered >= UNANSWERED_MOST)
		return false;
	o = mem_new(struct offered);
	o->place = hcm_place_of(c);
	o->fd = hcm_give(c, &o->given);
	list_push_back(&w->offered, &o->node);
	write_offer(&b, o->place, &o->given);
	sent = handover_send(w->fd, &b, o->fd);
	strb_fini(&b);
	if (sent > 0) {
		w->unanswered++;
		return true;
	}
	keep(w->all, o, true);
	return sent < 0;
}

static void
offer_all(struct handover *h)
{
	struct hcm_conn *c;

	if (h->to == NULL || !h->offering)
		return;
	h->to->full = false;
	while (!h->to->full && (c = hcm_next_idle(h->hcm)) != NULL)
		h->to->full = !offer(h->to, c);
}

/* From the HTTP side: this one has become idle. */
static void
on_idle(void *arg, struct hcm_conn *c)
{
	struct handover *h = arg;

	if (h->to && h->offering && !h->to->full)
		h->to->full = !offer(h->to, c);
}

static void
on_answer(struct handover_way *w, bool yes)
{
	struct list *n = list_first(&w->offered);
	struct offered *o;

	if (n == NULL)
		return;
	o = list_entry(n, struct offered, node);
	w->unanswered--;
	if (!yes) {
		keep(w->all, o, true);
		return;
	}
	list_remove(&o->node);
	close(o->fd);
	mem_free(o);
}

/* ---- taking */

static void
read_address(struct address *a, struct str s)
{
	if (s.n && s.n <= sizeof(struct sockaddr_un))
		address_from_sockaddr(
		    a, (const struct sockaddr *)(const void *)s.p, (socklen_t)s.n);
	else
		*a = (struct address){0};
}

static void
answer(struct handover_way *w, enum handover_word word)
{
	struct strb b = {0};

	handover_begin(&b, word);
	handover_send(w->fd, &b, -1); /* at most 64 wait there: it fits */
	strb_fini(&b);
}

/* The partner should have done so; a worker that blocks is a worker that hangs. */
static void
never_block(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Aligned copies: the packet's bytes lie anywhere. */
static void
on_connection(struct handover_way *w, struct handover_packet *p)
{
	struct hcm_given g = {.id = handover_u(p, FIELD_CONNECTION_ID),
	    .opened_ns = handover_u(p, FIELD_OPENED_NS),
	    .requests = (uint32_t)handover_u(p, FIELD_REQUESTS),
	    .http1 = handover_u(p, FIELD_HTTP1) != 0};
	struct hcm_place *place = listeners_place(w->all->listeners, handover_s(p, FIELD_KEY));
	char room[sizeof(struct sockaddr_un)] __attribute__((aligned(16)));
	struct str remote = handover_s(p, FIELD_REMOTE), local = handover_s(p, FIELD_LOCAL);

	if (p->fd < 0 || place == NULL || !hcm_would_take(place, &g) || remote.n > sizeof(room) ||
	    local.n > sizeof(room)) {
		answer(w, HANDOVER_NO);
		return;
	}
	memcpy(room, remote.p, remote.n);
	read_address(&g.remote, str_make(room, remote.n));
	memcpy(room, local.p, local.n);
	read_address(&g.local, str_make(room, local.n));
	answer(w, HANDOVER_YES);
	never_block(p->fd);
	hcm_count_handed_over();
	hcm_take(w->all->hcm, place, p->fd, &g);
	p->fd = -1;
}

/* ---- ways */

static void
way_free(struct handover_way *w)
{
	struct list *n;

	io_del(&w->io);
	close(w->fd);
	list_remove(&w->node);
	while ((n = list_first(&w->offered)) != NULL)
		keep(w->all, list_entry(n, struct offered, node), false);
	mem_free(w);
}

/* Whoever serves now gives us another way soon; our idle connections wait a moment for it. */
static void
on_way_ended(struct handover_way *w)
{
	struct handover *h = w->all;

	if (h->to == w) {
		h->to = NULL;
		if (h->hcm->drain->draining)
			h->hcm->hold_until_ns = loop_now_ns(h->hcm->loop) + ANOTHER_WAY_NS;
		handover_stop(h);
	}
	way_free(w);
}

static void
on_way(void *arg, unsigned ready)
{
	struct handover_way *w = arg;
	struct handover *h = w->all;
	char room[PACKET_MOST];

	for (unsigned i = 0; i < UNANSWERED_MOST; i++) {
		struct handover_packet p;
		ssize_t n = handover_receive(w->fd, room, sizeof(room), &p);

		if (n < 0)
			break;
		if (n == 0) {
			on_way_ended(w);
			return;
		}
		if (p.word == HANDOVER_CONNECTION)
			on_connection(w, &p);
		else if (p.word == HANDOVER_YES || p.word == HANDOVER_NO)
			on_answer(w, p.word == HANDOVER_YES);
		if (p.fd >= 0)
			close(p.fd);
	}
	offer_all(h); /* there is room again; or what came here is to go on from here */
}

static struct handover_way *
way_new(struct handover *h, int fd)
{
	struct handover_way *w = mem_new(struct handover_way);

	w->all = h;
	w->fd = fd;
	never_block(fd);
	list_init(&w->offered);
	io_add_level(h->hcm->loop, &w->io, fd, IO_READ, on_way, w);
	return w;
}

void
handover_to(struct handover *h, int fd)
{
	if (h->to) /* it may have said yes to some already */
		list_push_back(&h->before, &h->to->node);
	h->to = way_new(h, fd);
	if (h->hcm->drain->draining)
		handover_start(h);
}

void
handover_from(struct handover *h, int fd)
{
	list_push_back(&h->from, &way_new(h, fd)->node);
}

/* ---- life */

void
handover_start(struct handover *h)
{
	if (h->to == NULL)
		return;
	h->offering = true;
	h->hcm->hold_until_ns = 0;
	hcm_on_idle(h->hcm, on_idle, h);
	offer_all(h);
}

void
handover_stop(struct handover *h)
{
	h->offering = false;
	hcm_on_idle(h->hcm, NULL, NULL);
	if (h->hcm->drain)
		hcm_tell_all(h->hcm);
}

unsigned
handover_unanswered(const struct handover *h)
{
	unsigned n = h->to ? h->to->unanswered : 0;

	list_for_each(at, &h->before) n += list_entry(at, struct handover_way, node)->unanswered;
	return n;
}

void
handover_init(struct handover *h, struct hcm *hcm, struct listeners *ls)
{
	*h = (struct handover){.hcm = hcm, .listeners = ls};
	list_init(&h->from);
	list_init(&h->before);
}

void
handover_fini(struct handover *h)
{
	struct list *n;

	if (h->to)
		way_free(h->to);
	h->to = NULL;
	while ((n = list_first(&h->from)) != NULL)
		way_free(list_entry(n, struct handover_way, node));
	while ((n = list_first(&h->before)) != NULL)
		way_free(list_entry(n, struct handover_way, node));
}
