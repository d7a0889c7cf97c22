#include "master/link.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/state.h"
#include "master/master_private.h"
#include "master/predecessor.h"
#include "master/successor.h"

STATE_TABLE(link, LINK_STATES)

struct queued {
	struct list node;
	struct strb packet;
	int fd; /* a copy, -1: none */
};

void
link_enter(struct link *l, enum link_state next)
{
	STATE_CHECK(link, l->state, next);
	log_debug(LOG_MASTER, "hand-over: with pid %d: %s -> %s", (int)l->pid,
	    link_state_names[l->state], link_state_names[next]);
	timer_stop(&l->patience);
	l->state = next;
}

const char *
link_state_name(const struct link *l)
{
	return link_state_names[l->state];
}

/* ---- sending */

static void
queued_free(struct queued *q)
{
	list_remove(&q->node);
	strb_fini(&q->packet);
	if (q->fd >= 0)
		close(q->fd);
	mem_free(q);
}

static void
flush_queue(struct link *l)
{
	struct list *n;

	while ((n = list_first(&l->queue)) != NULL) {
		struct queued *q = list_entry(n, struct queued, node);

		if (handover_send(l->fd, &q->packet, q->fd) == 0)
			return;
		queued_free(q); /* sent, or nobody is there: the end of file says so */
	}
	io_change_level(&l->io, IO_READ);
}

void
link_send(struct link *l, struct strb *packet, int fd)
{
	struct queued *q;

	if (list_empty(&l->queue) && handover_send(l->fd, packet, fd) != 0) {
		strb_fini(packet);
		return;
	}
	q = mem_new(struct queued);
	q->packet = *packet;
	*packet = (struct strb){0};
	q->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	list_push_back(&l->queue, &q->node);
	io_change_level(&l->io, IO_READ | IO_WRITE);
}

void
link_say(struct link *l, enum handover_word word)
{
	struct strb packet = {0};

	handover_begin(&packet, word);
	link_send(l, &packet, -1);
}

void
link_refuse(struct link *l, struct str why)
{
	struct strb packet = {0};

	handover_begin(&packet, HANDOVER_REFUSED);
	handover_put_s(&packet, FIELD_TEXT, why);
	link_send(l, &packet, -1);
}

void
link_goodbye(struct link *l, bool ending, uint64_t seconds)
{
	struct strb packet = {0};

	handover_begin(&packet, HANDOVER_GOODBYE);
	handover_put_u(&packet, FIELD_ENDING, ending);
	handover_put_u(&packet, FIELD_SECONDS, seconds);
	link_send(l, &packet, -1);
}

/* ---- receiving */

static void
destroy(void *arg)
{
	struct link *l = arg;

	link_free(&l);
}

/* The other one is gone. */
static void
ended(struct link *l)
{
	enum link_state was = l->state;

	if (was == LINK_ENDED)
		return;
	io_del(&l->io);
	link_enter(l, LINK_ENDED);
	if (was == LINK_ASKING || was == LINK_READY || was == LINK_DRAINS)
		successor_alone(l->master, l, was);
	else
		predecessor_alone(l->master, l, was);
	loop_defer(l->master->loop, destroy, l);
}

void
link_leave(struct link *l)
{
	link_goodbye(l, false, 0);
	io_del(&l->io);
	link_enter(l, LINK_ENDED);
	loop_defer(l->master->loop, destroy, l);
}

static void
dispatch(struct link *l, struct handover_packet *p)
{
	if (p->word == HANDOVER_GOODBYE)
		l->goodbye = true;
	if (l->state == LINK_ASKING || l->state == LINK_READY || l->state == LINK_DRAINS)
		successor_hears(l->master, l, p);
	else
		predecessor_hears(l->master, l, p);
}

static void
on_ready(void *arg, unsigned ready)
{
	static char room[HANDOVER_PACKET]; /* handlers never turn the loop */
	struct link *l = arg;

	if (ready & IO_WRITE)
		flush_queue(l);
	while (l->state != LINK_ENDED && (ready & (IO_READ | IO_CLOSED))) {
		struct handover_packet p;
		ssize_t n = handover_receive(l->fd, room, sizeof(room), &p);

		if (n < 0)
			return;
		if (n == 0) {
			ended(l);
			return;
		}
		dispatch(l, &p);
		if (p.fd >= 0)
			close(p.fd);
	}
}

static void
on_patience(void *arg)
{
	struct link *l = arg;

	if (l->state == LINK_READY)
		successor_gives_up(l->master, "the old generation does not answer");
	else
		predecessor_gives_up(l->master, l);
}

struct link *
link_new(struct master *m, int fd, enum link_state state)
{
	struct link *l = mem_new(struct link);

	l->master = m;
	l->fd = fd;
	l->state = state;
	list_init(&l->queue);
	list_push_back(&m->links, &l->node);
	timer_init(&l->patience, on_patience, l);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	io_add_level(m->loop, &l->io, fd, IO_READ, on_ready, l);
	return l;
}

void
link_free(struct link **lp)
{
	struct link *l = *lp;
	struct list *n;

	*lp = NULL;
	if (l == NULL)
		return;
	while ((n = list_first(&l->queue)) != NULL)
		queued_free(list_entry(n, struct queued, node));
	timer_stop(&l->patience);
	list_remove(&l->node);
	io_del(&l->io);
	close(l->fd);
	strb_fini(&l->report);
	strb_fini(&l->report_why);
	strb_fini(&l->line);
	strb_fini(&l->report_json);
	mem_free(l);
}

struct link *
link_in(struct master *m, enum link_state state)
{
	list_for_each(n, &m->links)
	{
		struct link *l = list_entry(n, struct link, node);

		if (l->state == state)
			return l;
	}
	return NULL;
}
