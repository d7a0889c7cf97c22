#include "master/adopt.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/handover.h"
#include "lib/ipc/listen.h"
#include "master/master_private.h"
#include "master/sockets.h"
#include "master/successor.h"
#include "shm/lane.h"

#define CUT_MS 1000   /* orphans end what is held too long by themselves */
#define ANSWER_MS 500 /* one that is stopped is not waited for longer */
#define KILL_MS 5000  /* after it was told to end */
#define ASK_MS 3000   /* one that was asked and says nothing is forgotten */
#define INDEX_MOST 4096

/* One orphan, or the connection on which one may answer. */
struct adopted {
	struct list node; /* master->adopted */
	struct master *master;
	struct channel *channel;
	struct timer deadline;
	uint64_t generation;
	uint64_t epoch, deadline_ns;
	uint64_t holding[DRAIN_KINDS];
	char *who; /* some of its connections by name; owned, NULL: none */
	pid_t pid; /* 0: has not answered */
	unsigned way;	  /* number of our worker that takes its idle connections; 0: none yet */
	uint64_t indexes; /* its sockets have lower ones */
	bool admin, told, ending, gone;
};

static bool
is_pending(const struct adopted *a)
{
	return a->pid == 0 && !a->gone;
}

static void
check_done(struct master *m)
{
	void (*on_done)(struct master *) = m->adoption_done;

	list_for_each(n, &m->adopted) if (is_pending(list_entry(n, struct adopted, node))) return;
	timer_stop(&m->adoption);
	m->adoption_done = NULL;
	if (on_done)
		on_done(m);
}

/* Without a single socket a start would fail: then it is worth more patience. */
static bool
is_worth_waiting(const struct master *m)
{
	uint64_t waited_ms = (clock_mono_ns() - m->adoption_since_ns) / NS_PER_MS;

	return waited_ms < ANSWER_MS || (sockets_rows(m->sockets) == 0 && waited_ms < ASK_MS);
}

/* By the clock itself: the loop's stood still while the start looked around. */
void
adopt_late(void *arg)
{
	struct master *m = arg;
	void (*on_done)(struct master *) = m->adoption_done;

	if (is_worth_waiting(m)) {
		timer_set(m->loop, &m->adoption, ANSWER_MS / 10);
		return;
	}
	m->adoption_done = NULL;
	if (on_done)
		on_done(m);
}

/* ---- telling */

/* Where its idle connections go. */
static void
give_way(struct adopted *a)
{
	struct master *m = a->master;
	struct message out;
	int fd;

	if (a->way == 0)
		a->way = m->ways_given++ % m->children.n + 1;
	fd = successor_way(&m->children.at[a->way]);
	if (fd < 0)
		return;
	message_init(&out, MSG_HAND_TO);
	out.fd = fd;
	channel_send(a->channel, &out);
	close(fd);
}

static void
tell_drain(struct adopted *a)
{
	struct drain_order order;
	struct message out;

	if (a->told || a->gone || a->pid == 0)
		return;
	a->told = true;
	if (!a->admin)
		give_way(a);
	message_init(&out, a->admin ? MSG_DRAIN_ADMIN : MSG_DRAIN);
	master_order(a->master, &order);
	drain_order_put(&out, &order);
	channel_send(a->channel, &out);
	a->deadline_ns = loop_now_ns(a->master->loop) + drain_order_last_s(&order) * NS_PER_S;
	timer_set(a->master->loop, &a->deadline, drain_order_last_s(&order) * 1000ull + CUT_MS);
}

static void
tell_stop(struct adopted *a)
{
	struct message out;

	if (a->gone)
		return;
	a->ending = true;
	if (!a->admin) { /* one that has not answered yet may be either */
		message_init(&out, MSG_STOP);
		channel_send(a->channel, &out);
	}
	if (a->admin || a->pid == 0) {
		message_init(&out, MSG_STOP_ADMIN);
		channel_send(a->channel, &out);
	}
	timer_set(a->master->loop, &a->deadline, KILL_MS);
}

static void destroy(void *arg);
static void stop_idle_admin(struct master *m, uint64_t generation);

/* Stopped, or more were asked than live by now: who is left is asked again. */
static void
on_no_answer(struct adopted *a)
{
	a->gone = true;
	stop_idle_admin(a->master, a->generation);
	check_done(a->master);
	loop_defer(a->master->loop, destroy, a);
}

static void
on_deadline(void *arg)
{
	struct adopted *a = arg;

	/* Its end of the channel is open, so the pid is its own. */
	if (a->pid == 0)
		on_no_answer(a);
	else if (a->ending)
		kill(a->pid, SIGKILL);
	else
		tell_stop(a);
}

/* ---- hearing */

static bool ask_one(struct master *m, uint64_t generation);

static void
destroy(void *arg)
{
	struct adopted *a = arg;

	timer_stop(&a->deadline);
	list_remove(&a->node);
	channel_free(&a->channel);
	mem_free(a->who);
	mem_free(a);
}

/* An admin without workers has nothing to check for. */
static void
stop_idle_admin(struct master *m, uint64_t generation)
{
	struct adopted *admin = NULL;

	list_for_each(n, &m->adopted)
	{
		struct adopted *a = list_entry(n, struct adopted, node);

		if (a->gone || a->pid == 0 || a->generation != generation)
			continue;
		if (!a->admin)
			return;
		admin = a;
	}
	if (admin && admin->told && !admin->ending)
		tell_stop(admin);
}

static void
on_closed(void *arg)
{
	struct adopted *a = arg;
	struct master *m = a->master;

	a->gone = true;
	if (a->pid)
		log_info(LOG_MASTER, "orphan: pid %d has ended", (int)a->pid);
	else if (m->adoption_done) /* somebody who was adopted already took it: the next may answer
				    */
		ask_one(m, a->generation);
	timer_stop(&a->deadline);
	stop_idle_admin(m, a->generation);
	check_done(m);
	loop_defer(m->loop, destroy, a);
}

/* Wanted only by a start: whoever serves has sockets of its own. */
static void
take_socket(struct adopted *a, struct message_view *v, bool admin)
{
	struct master *m = a->master;
	struct str key = message_get_s(v);
	uint64_t index = message_get_u(v); /* the number it had; the admin port's has none */
	int fd = message_take_fd(v), own = 0;
	socklen_t n = sizeof(own);
	uint64_t flags = admin ? LISTEN_ADMIN : 0;
	struct err err;
	bool handed = message_get_u(v) != 0;

	if (fd < 0)
		return;
	if (index >= a->indexes && index < INDEX_MOST)
		a->indexes = index + 1;
	getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &own, &n);
	if (own && !admin)
		flags |= LISTEN_REUSE_PORT;
	if (handed)
		flags |= LISTEN_HANDED;
	if (m->state != MASTER_STARTING || sockets_inherit(m->sockets, key, flags, fd, &err) < 0)
		close(fd);
}

static void
on_answer(struct adopted *a, struct message_view *v, bool admin)
{
	struct master *m = a->master;
	uint64_t epoch;

	timer_stop(&a->deadline);
	a->admin = admin;
	a->pid = (pid_t)message_get_u(v);
	a->epoch = epoch = message_get_u(v);
	if (epoch > m->orphans_epoch)
		m->orphans_epoch = epoch;
	log_info(LOG_MASTER, "orphan: %s pid %d of epoch %u is ours now",
	    admin ? "admin" : "worker", (int)a->pid, (unsigned)epoch);
	if (m->state != MASTER_STARTING) {
		tell_drain(a);
		stop_idle_admin(m, a->generation);
	}
	check_done(m);
}

static void
on_holding(struct adopted *a, struct message_view *v)
{
	struct str who;

	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		a->holding[k] = message_get_u(v);
	who = message_get_s(v);
	mem_free(a->who);
	a->who = who.n ? mem_strndup(who.p, who.n) : NULL;
}

static void
on_message(void *arg, struct message_view *v)
{
	struct adopted *a = arg;

	if (v->type == MSG_ORPHAN_SOCKET || v->type == MSG_ORPHAN_ADMIN_SOCKET)
		take_socket(a, v, v->type == MSG_ORPHAN_ADMIN_SOCKET);
	else if (v->type == MSG_HOLDING)
		on_holding(a, v);
	else if (v->type == MSG_ADOPTED || v->type == MSG_ADOPTED_ADMIN)
		on_answer(a, v, v->type == MSG_ADOPTED_ADMIN);
}

static const struct channel_events channel_events = {on_message, on_closed};

/* ---- asking */

/* An orphan that is being adopted may accept once more and close that: 0, the next try finds another.
 * 1: *out is open and asked; -1: nobody listens. */
static int
try_one(struct master *m, uint64_t generation, int *out)
{
	struct err err;
	struct strb b = {0};
	int sent;

	*out = runtime_dir_connect(&m->dir, generation, &err);
	if (*out < 0)
		return -1;
	handover_begin(&b, HANDOVER_ADOPT);
	handover_put_u(&b, FIELD_PID, (uint64_t)getpid());
	sent = handover_send(*out, &b, -1);
	strb_fini(&b);
	if (sent > 0)
		return 1;
	close(*out);
	return 0;
}

static bool
ask_one(struct master *m, uint64_t generation)
{
	struct adopted *a;
	int fd, got = 0;

	for (int tries = 0; got == 0 && tries < 16; tries++)
		got = try_one(m, generation, &fd);
	if (got <= 0)
		return false;
	a = mem_new(struct adopted);
	a->master = m;
	a->generation = generation;
	timer_init(&a->deadline, on_deadline, a);
	timer_set(m->loop, &a->deadline, ASK_MS);
	list_push_back(&m->adopted, &a->node);
	a->channel = channel_new(m->loop, fd, SEAT_OF_MASTER, &channel_events, a);
	return true;
}

void
adopt(struct master *m, uint64_t generation, unsigned processes)
{
	unsigned asked = 0;

	while (asked < processes && ask_one(m, generation))
		asked++;
	log_warning(LOG_MASTER,
	    "orphans: %u processes of generation %u whose master died, adopting %u", processes,
	    (unsigned)generation, asked);
}

void
adopt_all_left(struct master *m, void (*on_done)(struct master *))
{
	for (size_t i = 0; i < m->dir.left.all.len; i++)
		adopt(m, m->dir.left.all.at[i].generation, m->dir.left.all.at[i].processes);
	m->adoption_done = on_done;
	m->adoption_since_ns = clock_mono_ns();
	timer_set(m->loop, &m->adoption, ANSWER_MS / 10);
	check_done(m);
}

unsigned
adopted_of(const struct master *m, uint64_t generation)
{
	unsigned count = 0;

	list_for_each(n, &m->adopted) count +=
	    list_entry(n, struct adopted, node)->generation == generation;
	return count;
}

static bool
is_first(const struct master *m, const struct adopted *a)
{
	list_for_each(n, (struct list *)&m->adopted)
	{
		const struct adopted *other = list_entry(n, struct adopted, node);

		if (other->pid && other->generation == a->generation)
			return other == a;
	}
	return false;
}

bool
adopted_each(const struct master *m, size_t i, struct adopted_view *out)
{
	list_for_each(n, (struct list *)&m->adopted)
	{
		const struct adopted *a = list_entry(n, struct adopted, node);

		if (i-- > 0)
			continue;
		*out = (struct adopted_view){.generation = a->generation,
		    .epoch = a->epoch,
		    .deadline_ns = a->deadline_ns,
		    .pid = a->gone ? 0 : a->pid,
		    .admin = a->admin,
		    .first = is_first(m, a),
		    .holding = a->holding,
		    .who = a->who};
		return true;
	}
	return false;
}

void
adopted_drain(struct master *m)
{
	list_for_each(n, &m->adopted) tell_drain(list_entry(n, struct adopted, node));
	list_for_each(n, &m->adopted)
	    stop_idle_admin(m, list_entry(n, struct adopted, node)->generation);
}

void
adopted_worker_came(struct master *m, const struct child *c)
{
	list_for_each(n, &m->adopted)
	{
		struct adopted *a = list_entry(n, struct adopted, node);

		if (a->told && !a->gone && a->way == c->index)
			give_way(a);
	}
}

void
adopted_removed(struct master *m, struct str key)
{
	list_for_each(n, &m->adopted)
	{
		struct adopted *a = list_entry(n, struct adopted, node);

		for (uint64_t i = 0; i < a->indexes && !a->gone && !a->admin; i++) {
			struct message out;

			message_init(&out, MSG_LISTEN_BACK);
			message_s(&out, key);
			message_u(&out, i);
			channel_send(a->channel, &out);
		}
	}
}

void
adopted_stop(struct master *m)
{
	list_for_each(n, &m->adopted) tell_stop(list_entry(n, struct adopted, node));
}

/* Those that are gone are destroyed at the end of the turn. */
void
adopted_let_go(struct master *m)
{
	list_for_each(n, &m->adopted)
	{
		struct adopted *a = list_entry(n, struct adopted, node);

		if (!a->gone)
			destroy(a);
	}
}

void
adopted_fini(struct master *m)
{
	struct list *n;

	timer_stop(&m->adoption);
	while ((n = list_first(&m->adopted)) != NULL)
		destroy(list_entry(n, struct adopted, node));
}
