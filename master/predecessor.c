#include "master/predecessor.h"

#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/handover.h"
#include "lib/ipc/listen.h"
#include "master/adopt.h"
#include "master/master_private.h"
#include "master/report.h"
#include "master/sockets.h"
#include "master/successor.h"
#include "shm/block.h"
#include "shm/flags.h"

#define MARGIN_MS 10000 /* beyond the successor's own limits */

/* ---- what the successor gets */

static void
send_hello(struct master *m, struct link *l)
{
	struct strb b = {0};

	handover_begin(&b, HANDOVER_HELLO);
	handover_put_s(&b, FIELD_VERSION, STR(HANDOVER_VERSION));
	handover_put_u(&b, FIELD_PID, (uint64_t)getpid());
	handover_put_u(&b, FIELD_EPOCH, m->settings->restart_epoch);
	handover_put_u(&b, FIELD_ID, m->dir.generation);
	handover_put_u(&b, FIELD_WORKERS, m->children.n);
	handover_put_u(&b, FIELD_HEALTH_FAILED, flag_get(&shm_flags()->health_failed));
	handover_put_u(&b, FIELD_STARTED_NS, shm_flags()->first_started_wall_ns);
	link_send(l, &b, -1);
}

static void
send_sockets(struct master *m, struct link *l)
{
	struct socket_at s;

	for (size_t i = 0; sockets_each(m->sockets, i, &s); i++) {
		struct strb b = {0};

		handover_begin(&b, HANDOVER_SOCKET);
		handover_put_s(&b, FIELD_KEY, s.key);
		handover_put_u(&b, FIELD_FLAGS, s.flags & ~(uint64_t)LISTEN_HANDED);
		handover_put_u(&b, FIELD_HANDED, (s.flags & LISTEN_HANDED) != 0);
		handover_put_u(&b, FIELD_INDEX, s.index);
		link_send(l, &b, s.fd);
	}
}

static void
send_journal(struct master *m, struct link *l)
{
	struct strb b = {0};

	if (m->children.gifts.journal_fd < 0)
		return;
	handover_begin(&b, HANDOVER_JOURNAL);
	handover_put_u(&b, FIELD_USE, m->children.gifts.journal_use);
	link_send(l, &b, m->children.gifts.journal_fd);
}

static void
send_generations(struct master *m, struct link *l)
{
	list_for_each(n, &m->links)
	{
		const struct link *other = list_entry(n, struct link, node);
		struct strb b = {0};

		if (other->state != LINK_DRAINS)
			continue;
		handover_begin(&b, HANDOVER_GENERATION);
		handover_put_u(&b, FIELD_ID, other->generation);
		handover_put_u(&b, FIELD_PID, other->pid);
		link_send(l, &b, -1);
	}
}

/* The reason why nothing is handed over now, as err. */
static int
check_hello(struct master *m, struct err *err)
{
	const char *busy = m->reloading			 ? "reading its configuration anew"
			   : m->restart.rolling_back	 ? "rolling back"
			   : link_in(m, LINK_BUILDING)	 ? "handing over to another one"
			   : link_in(m, LINK_STILL)	 ? "handing over to another one"
			   : m->state != MASTER_SERVING ? master_state_name(m)
							 : NULL;

	if (busy)
		return err_set(err, "the baton with pid %d is %s", (int)getpid(), busy);
	return restart_too_many(m, err) ? -1 : 0;
}

static void
refuse_hello(struct master *m, struct link *l, struct str why)
{
	log_warning(LOG_MASTER, "hot restart: pid %d is refused: " STR_FMT, (int)l->pid, STR_ARG(why));
	if (!m->restart.running) /* else its end is counted */
		stat_inc(&m->stats->handovers_refused);
	link_refuse(l, why);
	link_enter(l, LINK_ENDED);
	link_free(&l);
}

void
predecessor_hello(struct master *m, int fd, const struct handover_packet *p)
{
	struct err err = {""};
	int bad = check_hello(m, &err);
	struct link *l = link_new(m, fd, LINK_BUILDING);

	l->pid = handover_u(p, FIELD_PID);
	l->epoch = handover_u(p, FIELD_EPOCH);
	l->generation = handover_u(p, FIELD_ID);
	l->workers = handover_u(p, FIELD_WORKERS);
	if (bad) {
		refuse_hello(m, l, str_of(err.text));
		return;
	}
	m->restart.running = true;
	timer_stop(&m->restart.patience);
	log_info(LOG_MASTER, "hot restart: pid %d speaks " STR_FMT ", gets copies of everything",
	    (int)l->pid, STR_ARG(handover_s(p, FIELD_VERSION)));
	send_hello(m, l);
	send_sockets(m, l);
	send_journal(m, l);
	send_generations(m, l);
	link_say(l, HANDOVER_STATE_END);
	timer_set(m->loop, &l->patience, m->settings->init_timeout_s * 1000ull + MARGIN_MS);
}

/* ---- what the successor says */

static void
on_ready_word(struct master *m, struct link *l, const struct handover_packet *p)
{
	if (l->state != LINK_BUILDING)
		return;
	if (m->state != MASTER_SERVING) {
		link_refuse(l, STR("the old generation is ending"));
		return;
	}
	l->epoch = handover_u(p, FIELD_EPOCH);
	link_enter(l, LINK_STILL);
	link_say(l, HANDOVER_GO);
	timer_set(m->loop, &l->patience, MARGIN_MS);
}

static void
on_pair(struct master *m, struct link *l, const struct handover_packet *p)
{
	uint64_t index = handover_u(p, FIELD_INDEX);
	struct message out;

	if (index == 0 || index > m->children.n || p->fd < 0)
		return;
	message_init(&out, MSG_HAND_TO);
	out.fd = p->fd;
	child_send(&m->children.at[index], &out);
}

static void
on_removed(struct master *m, struct link *l, const struct handover_packet *p)
{
	struct str key = handover_s(p, FIELD_KEY);

	if (key.n == 0)
		return;
	sockets_give_up(m->sockets, key);
	adopted_removed(m, key);
}

/* It drains too, so its end is not ours to mend: we turn to the one that serves now. */
static void
on_forget(struct master *m, struct link *l, const struct handover_packet *p)
{
	if (l->state != LINK_SERVES || m->state != MASTER_HANDED_OVER)
		return;
	sockets_disown(m->sockets);
	link_leave(l);
	predecessor_report(m);
}

/* Those that drain already are asked for nothing any more, should the successor die: we are. */
void
predecessor_tell_elders(struct master *m)
{
	list_for_each(n, &m->links)
	{
		struct link *l = list_entry(n, struct link, node);

		if (l->state == LINK_DRAINS) {
			l->forgot = true;
			link_say(l, HANDOVER_FORGET);
		}
	}
}

static void
on_drain(struct master *m, struct link *l, const struct handover_packet *p)
{
	struct drain_order order;

	if (l->state != LINK_STILL && l->state != LINK_SERVES)
		return;
	if (m->state != MASTER_SERVING)
		return;
	if (l->state == LINK_STILL)
		link_enter(l, LINK_SERVES);
	log_info(LOG_MASTER, "hot restart: pid %d serves, draining", (int)l->pid);
	predecessor_tell_elders(m);
	drain_order_unpack(&order, p);
	master_hand_over(m, &order);
	restart_succeeded(m, l);
	predecessor_report(m);
}

static void
on_refused(struct master *m, struct link *l, const struct handover_packet *p)
{
	struct str why = handover_s(p, FIELD_TEXT);

	if (l->goodbye) /* the first reason counts */
		return;
	l->goodbye = true;
	if (l->state == LINK_BUILDING || l->state == LINK_STILL)
		restart_refused(m, why.n ? why : STR("the new generation refused"));
}

/* The one that serves ends as it should: nobody needs us any longer than that. */
static void
on_goodbye(struct master *m, struct link *l, const struct handover_packet *p)
{
	if (m->state != MASTER_HANDED_OVER || !handover_u(p, FIELD_ENDING))
		return;
	m->line_ends = true;
	sockets_disown(m->sockets);
	master_end_by(m, handover_u(p, FIELD_SECONDS));
}

static void
on_take_back(struct master *m, struct link *l, const struct handover_packet *p)
{
	uint64_t until_ns = handover_u(p, FIELD_UNTIL_NS);
	struct drain_order order;
	struct strb b = {0};

	if (l->state != LINK_SERVES || m->state != MASTER_HANDED_OVER || l->goodbye)
		return;
	if (until_ns && loop_now_ns(m->loop) > until_ns) /* we were stopped: it gave us up */
		return;
	log_info(LOG_MASTER, "rollback: accepting again, pid %d drains", (int)l->pid);
	link_enter(l, LINK_DRAINS);
	master_take_back(m);
	handover_begin(&b, HANDOVER_DRAIN);
	master_order(m, &order);
	drain_order_pack(&b, &order);
	link_send(l, &b, -1);
	successor_pairs(m, l);
	l->deadline_ns = loop_now_ns(m->loop) + drain_order_last_s(&order) * NS_PER_S;
}

void
predecessor_hears(struct master *m, struct link *l, const struct handover_packet *p)
{
	static const struct {
		enum handover_word word;
		void (*fn)(struct master *, struct link *, const struct handover_packet *);
	} rows[] = {
	    {HANDOVER_READY, on_ready_word},
	    {HANDOVER_PAIR, on_pair},
	    {HANDOVER_REMOVED, on_removed},
	    {HANDOVER_DRAIN, on_drain},
	    {HANDOVER_FORGET, on_forget},
	    {HANDOVER_REFUSED, on_refused},
	    {HANDOVER_GOODBYE, on_goodbye},
	    {HANDOVER_TAKE_BACK, on_take_back},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].word == p->word)
			rows[i].fn(m, l, p);
}

/* Its orphans, if it has any, are found by the next look around. */
void
predecessor_alone(struct master *m, struct link *l, enum link_state was)
{
	if (was != LINK_SERVES) {
		if (!l->goodbye)
			restart_refused(
			    m, STR("the new generation ended before it served, its log says why"));
		return;
	}
	if (l->goodbye || m->state != MASTER_HANDED_OVER)
		return;
	log_warning(LOG_MASTER, "hot restart: pid %d died, accepting again", (int)l->pid);
	master_take_back(m);
}

void
predecessor_gives_up(struct master *m, struct link *l)
{
	static const char why[] = "the new generation was not ready in time";

	link_refuse(l, str_of(why));
	if (l->state == LINK_BUILDING || l->state == LINK_STILL)
		restart_refused(m, str_of(why));
	io_del(&l->io); /* nothing it says counts any more; its end of file is ours to make */
	link_enter(l, LINK_ENDED);
	link_free(&l);
}

/* Our successor drains too, or ended: whoever serves hears from us now. */
static struct link *
join(struct master *m)
{
	struct strb b = {0};
	struct err err;
	struct link *l;
	int fd = runtime_dir_connect(&m->dir, 0, &err), sent;

	if (fd < 0)
		return NULL;
	handover_begin(&b, HANDOVER_DRAINING);
	handover_put_u(&b, FIELD_PID, (uint64_t)getpid());
	handover_put_u(&b, FIELD_EPOCH, m->settings->restart_epoch);
	handover_put_u(&b, FIELD_ID, m->dir.generation);
	handover_put_u(&b, FIELD_WORKERS, m->children.n);
	sent = handover_send(fd, &b, -1);
	strb_fini(&b);
	if (sent <= 0) {
		close(fd);
		return NULL;
	}
	l = link_new(m, fd, LINK_SERVES);
	l->goodbye = true; /* its end is not ours to mend: another look around is */
	return l;
}

void
predecessor_report(struct master *m)
{
	struct link *l = link_in(m, LINK_SERVES);
	struct strb b = {0};

	if (m->state != MASTER_HANDED_OVER || !m->has_dir)
		return;
	if (l == NULL)
		l = join(m);
	if (l == NULL)
		return;
	handover_begin(&b, HANDOVER_REPORT);
	report_pack(m, &b);
	if (list_empty(&l->queue)) /* a reader that is stopped gets the next one */
		link_send(l, &b, -1);
	strb_fini(&b);
}
