#include "master/successor.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/control.h"
#include "lib/ipc/listen.h"
#include "master/adopt.h"
#include "master/control.h"
#include "master/master_private.h"
#include "master/options.h"
#include "master/predecessor.h"
#include "master/sockets.h"
#include "shm/block.h"
#include "shm/flags.h"

#define WORD_S 5	  /* the old generation answers from its loop */
#define TAKE_BACK_MS 4000 /* and takes back from there, later no more */

/* ---- steps 1 and 2: before anything of ours runs */

static int
say_hello(struct master *m, int fd, struct err *err)
{
	struct strb b = {0};
	int sent;

	handover_begin(&b, HANDOVER_HELLO);
	handover_put_s(&b, FIELD_VERSION, STR(HANDOVER_VERSION));
	handover_put_u(&b, FIELD_PID, (uint64_t)getpid());
	handover_put_u(&b, FIELD_ID, m->dir.generation);
	handover_put_u(&b, FIELD_WORKERS, m->children.n);
	sent = handover_send(fd, &b, -1);
	strb_fini(&b);
	return sent > 0 ? 0 : err_set(err, "hot restart: the old generation takes no hello");
}

static int
on_hello(struct master *m, struct link *l, const struct handover_packet *p)
{
	l->pid = handover_u(p, FIELD_PID);
	l->epoch = handover_u(p, FIELD_EPOCH);
	l->generation = handover_u(p, FIELD_ID);
	l->workers = handover_u(p, FIELD_WORKERS);
	m->elder_health_failed = handover_u(p, FIELD_HEALTH_FAILED) != 0;
	m->elder_started_ns = handover_u(p, FIELD_STARTED_NS);
	log_info(LOG_MASTER, "hot restart: taking over from pid %d, epoch %u, protocol " STR_FMT,
	    (int)l->pid, (unsigned)l->epoch, STR_ARG(handover_s(p, FIELD_VERSION)));
	return 0;
}

static int
on_socket(struct master *m, struct handover_packet *p, struct err *err)
{
	struct str key = handover_s(p, FIELD_KEY);
	uint64_t flags = handover_u(p, FIELD_FLAGS);

	if (p->fd < 0)
		return err_set(err,
		    "hot restart: the socket of '" STR_FMT "' did not arrive (ulimit -n)",
		    STR_ARG(key));
	fcntl(p->fd, F_SETFD, FD_CLOEXEC);
	if (handover_u(p, FIELD_HANDED))
		flags |= LISTEN_HANDED;
	if (sockets_inherit(m->sockets, key, flags, p->fd, err) < 0)
		return err_in(err, "hot restart");
	p->fd = -1;
	return 0;
}

/* What was discovered stands there; the rest is read from our own sources. */
static void
keep_journal(struct master *m, struct handover_packet *p)
{
	struct child_gifts *g = &m->children.gifts;

	if (p->fd < 0)
		return;
	successor_forget_journal(m);
	fcntl(p->fd, F_SETFD, FD_CLOEXEC);
	g->elder_journal_fd = p->fd;
	g->elder_journal_use = handover_u(p, FIELD_USE);
	p->fd = -1;
}

void
successor_forget_journal(struct master *m)
{
	struct child_gifts *g = &m->children.gifts;

	if (g->elder_journal_fd >= 0)
		close(g->elder_journal_fd);
	g->elder_journal_fd = -1;
}

/* 1: that was the last word, 0: there is more, -1: no hand-over. */
static int
take_word(struct master *m, struct link *l, struct handover_packet *p, struct err *err)
{
	if (p->word == HANDOVER_STATE_END)
		return 1;
	if (p->word == HANDOVER_REFUSED)
		return err_set(err, "hot restart: " STR_FMT, STR_ARG(handover_s(p, FIELD_TEXT)));
	if (p->word == HANDOVER_HELLO)
		return on_hello(m, l, p);
	if (p->word == HANDOVER_JOURNAL)
		keep_journal(m, p);
	/* Generations: all lie in the directory. */
	return p->word == HANDOVER_SOCKET ? on_socket(m, p, err) : 0;
}

static int
take_all(struct master *m, struct link *l, struct err *err)
{
	static char room[HANDOVER_PACKET];
	int more = 0;

	while (more == 0) {
		struct handover_packet p;
		ssize_t n = handover_receive(l->fd, room, sizeof(room), &p);

		if (n < 0)
			return err_set(err, "hot restart: the old generation does not answer");
		if (n == 0)
			return err_set(err, "hot restart: the old generation went away");
		more = take_word(m, l, &p, err);
		if (p.fd >= 0)
			close(p.fd);
	}
	return more < 0 ? -1 : 0;
}

static void
block(int fd, bool on)
{
	struct timeval limit = {.tv_sec = WORD_S};
	int flags = fcntl(fd, F_GETFL);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	fcntl(fd, F_SETFL, on ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

static int
choose_epoch(const struct link *l, const struct options *o, struct settings *s, struct err *err)
{
	if (o->epoch_auto)
		s->restart_epoch = (uint32_t)l->epoch + 1;
	if (s->restart_epoch > l->epoch)
		return 0;
	return err_set(err, "--restart-epoch %u: epoch %u serves already, pid %d", s->restart_epoch,
	    (unsigned)l->epoch, (int)l->pid);
}

int
successor_take(struct master *m, const struct options *o, struct settings *s, struct err *err)
{
	int fd = runtime_dir_connect(&m->dir, 0, err);
	struct link *l;

	if (fd < 0 || say_hello(m, fd, err) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	l = link_new(m, fd, LINK_ASKING);
	block(fd, true);
	if (take_all(m, l, err) < 0 || choose_epoch(l, o, s, err) < 0) {
		link_refuse(l, str_of(err->text));
		link_free(&l);
		return -1;
	}
	block(fd, false);
	m->dir.has_elder = true;
	m->children.gifts.elder_generation = l->generation;
	sockets_stop(m->sockets); /* nobody accepts before all are ready */
	return 0;
}

/* Heard out before: an end on unread words would take ours away with it. */
void
successor_says_why(struct master *m, struct str why)
{
	struct err err;
	int fd = runtime_dir_connect(&m->dir, 0, &err);
	struct link *l;

	if (fd < 0 || say_hello(m, fd, &err) < 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	l = link_new(m, fd, LINK_ASKING);
	block(fd, true);
	if (take_all(m, l, &err) == 0)
		link_refuse(l, why);
	link_free(&l);
}

/* ---- step 3: started, or not */

static bool
all_ready(const struct master *m)
{
	for (unsigned i = 1; i <= m->children.n && m->dir.has_elder; i++)
		if (m->children.at[i].state != CHILD_READY)
			return false;
	return m->admin_serves;
}

void
successor_look(struct master *m)
{
	struct link *l = link_in(m, LINK_ASKING);
	struct strb b = {0};

	if (m->state != MASTER_STARTING || !all_ready(m))
		return;
	if (l == NULL) { /* it died meanwhile: its sockets are ours */
		if (link_in(m, LINK_READY) == NULL)
			master_go(m);
		return;
	}
	if (m->settings->mode == MODE_INIT_ONLY) { /* it could, which was the question */
		master_end(m, 0);
		return;
	}
	link_enter(l, LINK_READY);
	handover_begin(&b, HANDOVER_READY);
	handover_put_u(&b, FIELD_EPOCH, m->settings->restart_epoch);
	link_send(l, &b, -1);
	timer_set(m->loop, &l->patience, WORD_S * 1000);
}

void
successor_failed(struct master *m, struct str why)
{
	struct link *l = link_in(m, LINK_ASKING);

	if (l == NULL)
		l = link_in(m, LINK_READY);
	if (l)
		link_refuse(l, why);
}

void
successor_gives_up(struct master *m, const char *why)
{
	log_error(LOG_MASTER, "hot restart: given up: %s", why);
	successor_failed(m, str_of(why));
	master_end(m, 1);
}

/* ---- step 4: we serve */

static struct child *
taker_of(struct master *m, uint64_t worker)
{
	return &m->children.at[(worker - 1) % m->children.n + 1];
}

int
successor_way(struct child *ours)
{
	struct message out;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	message_init(&out, MSG_HAND_FROM);
	out.fd = fds[0];
	child_send(ours, &out);
	close(fds[0]);
	return fds[1];
}

/* One pair of connected sockets for each of its workers; ours are shared out evenly.  `only` that
 * one of ours takes part; NULL: all. */
static void
make_pairs(struct master *m, struct link *l, const struct child *only)
{
	for (uint64_t w = 1; w <= l->workers && w <= 1024; w++) {
		struct child *ours = taker_of(m, w);
		struct strb b = {0};
		int fd;

		if (only && ours != only)
			continue;
		fd = successor_way(ours);
		if (fd < 0)
			return;
		handover_begin(&b, HANDOVER_PAIR);
		handover_put_u(&b, FIELD_INDEX, w);
		link_send(l, &b, fd);
		close(fd);
	}
}

void
successor_pairs(struct master *m, struct link *l)
{
	make_pairs(m, l, NULL);
}

void
successor_worker_came(struct master *m, struct child *c)
{
	if (m->state != MASTER_SERVING)
		return;
	list_for_each(n, &m->links)
	{
		struct link *l = list_entry(n, struct link, node);

		if (l->state == LINK_DRAINS)
			make_pairs(m, l, c);
	}
	adopted_worker_came(m, c);
}

static void
say_removed(struct link *l, struct str key)
{
	struct strb b = {0};

	handover_begin(&b, HANDOVER_REMOVED);
	handover_put_s(&b, FIELD_KEY, key);
	link_send(l, &b, -1);
}

void
successor_removed(struct master *m, struct str key)
{
	list_for_each(n, &m->links)
	{
		struct link *l = list_entry(n, struct link, node);

		if (l->state == LINK_DRAINS)
			say_removed(l, key);
	}
}

static void
on_go(struct master *m, struct link *l)
{
	struct drain_order order;
	struct strb b = {0};

	if (l->state != LINK_READY || m->state != MASTER_STARTING)
		return;
	link_enter(l, LINK_DRAINS);
	master_go(m);
	make_pairs(m, l, NULL);
	handover_begin(&b, HANDOVER_DRAIN);
	master_order(m, &order);
	drain_order_pack(&b, &order);
	link_send(l, &b, -1);
	l->deadline_ns = loop_now_ns(m->loop) + drain_order_last_s(&order) * NS_PER_S;
	stat_inc(&m->stats->handovers_done);
	log_info(LOG_MASTER, "hot restart: serving, pid %d drains", (int)l->pid);
}

static void
keep(struct strb *to, const struct handover_packet *p, enum handover_field f)
{
	strb_reset(to);
	strb_adds(to, handover_s(p, f));
}

static void
on_report(struct link *l, const struct handover_packet *p)
{
	l->held = handover_u(p, FIELD_HELD);
	if (p->field[FIELD_DEADLINE_S - HANDOVER_FIRST_FIELD].p)
		l->deadline_ns = loop_now_ns(l->master->loop) +
				 handover_u(p, FIELD_DEADLINE_S) * NS_PER_S;
	keep(&l->report, p, FIELD_TEXT);
	keep(&l->report_why, p, FIELD_WHY);
	keep(&l->report_json, p, FIELD_JSON);
	keep(&l->line, p, FIELD_LINE);
}

/* Those who wait for it came before this word. */
static void
on_restart(struct master *m)
{
	if (!master_is_changing(m))
		control_next_begins(m->control);
	master_hot_restart(m);
}

/* The answer to our rollback: it serves again. */
static void
on_taken_back(struct master *m, struct link *l, const struct handover_packet *p)
{
	struct drain_order order;

	if (l->state != LINK_DRAINS || m->state != MASTER_SERVING)
		return;
	link_enter(l, LINK_SERVES);
	predecessor_tell_elders(m);
	drain_order_unpack(&order, p);
	master_hand_over(m, &order);
	restart_rolled_back(m, l, STR("the previous generation serves again"));
	predecessor_report(m);
}

void
successor_hears(struct master *m, struct link *l, struct handover_packet *p)
{
	char why[128];

	switch (p->word) {
	case HANDOVER_GO:
		on_go(m, l);
		break;
	case HANDOVER_REFUSED:
		snprintf(why, sizeof(why), STR_FMT, STR_ARG(handover_s(p, FIELD_TEXT)));
		if (l->state != LINK_DRAINS)
			successor_gives_up(m, why);
		break;
	case HANDOVER_REPORT:
		on_report(l, p);
		break;
	case HANDOVER_REQUEST:
		control_take(m->control, p);
		break;
	case HANDOVER_RESTART:
		on_restart(m);
		break;
	case HANDOVER_RELOAD:
		master_reload(m);
		break;
	case HANDOVER_DRAIN:
		on_taken_back(m, l, p);
		break;
	default:
		break;
	}
}

void
successor_joined(struct master *m, int fd, const struct handover_packet *p)
{
	struct link *l;

	if (m->state == MASTER_STARTING || m->state == MASTER_HANDED_OVER || m->state == MASTER_ENDING) {
		close(fd); /* it asks again */
		return;
	}
	l = link_new(m, fd, LINK_DRAINS);
	l->pid = handover_u(p, FIELD_PID);
	l->epoch = handover_u(p, FIELD_EPOCH);
	l->generation = handover_u(p, FIELD_ID);
	l->workers = handover_u(p, FIELD_WORKERS);
	l->forgot = true;
	log_info(LOG_MASTER, "generation %u: pid %d drains on, its successor does not serve",
	    (unsigned)l->generation, (int)l->pid);
	if (m->state != MASTER_SERVING)
		link_goodbye(l, true, master_seconds_left(m));
	else
		make_pairs(m, l, NULL);
}

/* It may have died between taking the names and telling us to drain. */
static void
rollback_failed(struct master *m)
{
	if (m->state == MASTER_SERVING)
		master_take_names(m);
	restart_rolled_back(m, NULL, STR("the previous generation ended meanwhile"));
}

void
successor_alone(struct master *m, struct link *l, enum link_state was)
{
	if (was == LINK_DRAINS) {
		log_info(LOG_MASTER, "generation %u: %s, pid %d", (unsigned)l->generation,
		    !l->goodbye			      ? "its master died"
		    : m->state == MASTER_HANDED_OVER ? "reports elsewhere"
						      : "has ended",
		    (int)l->pid);
		if (m->restart.rolling_back == l)
			rollback_failed(m);
		return;
	}
	log_warning(
	    LOG_MASTER, "hot restart: the old generation's master died, going on without it");
	successor_look(m);
}

static struct link *
youngest_that_could_serve(struct master *m)
{
	struct link *youngest = NULL;

	list_for_each(n, &m->links)
	{
		struct link *l = list_entry(n, struct link, node);

		if (l->state == LINK_DRAINS && !l->forgot &&
		    (!youngest || l->generation > youngest->generation))
			youngest = l;
	}
	return youngest;
}

static void
say_take_back(struct master *m, struct link *l)
{
	struct strb b = {0};

	handover_begin(&b, HANDOVER_TAKE_BACK);
	handover_put_u(&b, FIELD_UNTIL_NS, loop_now_ns(m->loop) + TAKE_BACK_MS * NS_PER_MS);
	link_send(l, &b, -1);
}

void
master_roll_back(struct master *m)
{
	struct restart *r = &m->restart;
	struct link *l = youngest_that_could_serve(m);

	if (r->rolling_back) /* its end answers this asker too */
		return;
	if (m->state != MASTER_SERVING) {
		restart_rolled_back(m, NULL, STR("this generation does not serve"));
	} else if (master_is_changing(m)) {
		restart_rolled_back(m, NULL,
		    r->running ? STR("a hot restart is under way") : STR("a reload is under way"));
	} else if (l == NULL) {
		restart_rolled_back(m, NULL, STR("no generation drains that could serve again"));
	} else {
		r->running = true;
		r->rolling_back = l;
		timer_set(m->loop, &r->patience, TAKE_BACK_MS + 1000);
		say_take_back(m, l);
	}
}
