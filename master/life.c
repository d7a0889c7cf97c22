/*
 * The states of a generation: it starts, serves, hands over or leaves
 * rotation, drains, ends; and it may serve again.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/state.h"
#include "lib/event/loop.h"
#include "master/adopt.h"
#include "master/master_private.h"
#include "master/sockets.h"
#include "master/successor.h"
#include "shm/block.h"
#include "shm/flags.h"

#define CUT_MS 1000  /* for workers to cut what is late, and to end */
#define STOP_MS 2000 /* children have this long to flush and end, then SIGKILL */

STATE_TABLE(master, MASTER_STATES)

const char *
master_state_name(const struct master *m)
{
	return master_state_names[m->state];
}

uint64_t
master_seconds_left(const struct master *m)
{
	uint64_t now = loop_now_ns(m->loop);

	return m->deadline_ns > now ? (m->deadline_ns - now) / NS_PER_S : 0;
}

/* ---- states */

/* The window ends before the deadline, so that its last connections are not cut. */
static uint64_t
window_before(const struct settings *s, uint64_t deadline_s)
{
	uint64_t window = deadline_s - deadline_s / 5;

	return s->drain_time_s < window ? s->drain_time_s : window;
}

/* As workers understand it: said again, only what is nearer counts. */
static void
note_deadlines(struct master *m)
{
	uint64_t now = loop_now_ns(m->loop);

	for (unsigned k = 0; k < DRAIN_KINDS; k++) {
		uint32_t s = m->order.deadline_s[k];
		uint64_t at_ns = s == DRAIN_NO_DEADLINE ? UINT64_MAX : now + s * NS_PER_S;

		if (at_ns < m->cut_ns[k])
			m->cut_ns[k] = at_ns;
	}
}

static void
tell_drain(struct master *m)
{
	note_deadlines(m);
	if (!m->order.another_serves)
		children_tell_workers(&m->children, MSG_STOP_ACCEPTING);
	for (unsigned i = 0; i <= m->children.n; i++) {
		struct message out;

		message_init(&out, i ? MSG_DRAIN : MSG_DRAIN_ADMIN);
		drain_order_put(&out, &m->order);
		child_send(&m->children.at[i], &out);
	}
}

/* Workers end what is held at its deadline; a worker that has not done so a moment later is ended
 * with it. */
static void
set_deadline(struct master *m, uint64_t seconds)
{
	m->deadline_ns = loop_now_ns(m->loop) + seconds * NS_PER_S;
	timer_set(m->loop, &m->deadline, seconds * 1000 + CUT_MS);
}

/* A graceful end has one deadline for all, and a part of it may be over. */
static void
order_end(struct master *m)
{
	const struct settings *s = m->settings;
	uint64_t now = loop_now_ns(m->loop);
	uint64_t left_s = m->deadline_ns > now ? (m->deadline_ns - now + NS_PER_S - 1) / NS_PER_S : 0;

	m->order = (struct drain_order){
	    .seconds = window_before(s, left_s), .immediate = s->drain_immediate};
	drain_order_until(&m->order, left_s);
}

static void
expect_ends(struct master *m)
{
	m->children.replacing = false;
	for (unsigned i = 0; i <= m->children.n; i++) {
		timer_stop(&m->children.at[i].respawn);
		m->children.at[i].expected = true;
	}
}

static void
begin_drain(struct master *m)
{
	memset(m->cut_ns, 0xff, sizeof(m->cut_ns));
	shm_flags()->drain_started_ns = loop_now_ns(m->loop);
	__atomic_store_n(&shm_flags()->draining, 1, __ATOMIC_RELEASE);
	expect_ends(m);
	sockets_stop(m->sockets);
}

/* Draining generations need not outlive the one that serves. */
static void
say_goodbye(struct master *m, bool ending, uint64_t seconds)
{
	list_for_each(n, &m->links)
	{
		struct link *l = list_entry(n, struct link, node);

		if (l->state == LINK_DRAINS || l->state == LINK_SERVES)
			link_goodbye(l, ending && l->state == LINK_DRAINS, seconds);
		else if (l->state != LINK_ENDED)
			link_refuse(l, STR("the other generation is ending"));
	}
}

bool
master_is_childless(const struct master *m)
{
	return children_alive(&m->children, ROLE_WORKER) + children_alive(&m->children, ROLE_ADMIN) == 0;
}

/* The line ends, and so do those whose masters died before: ours by now, and those that nobody has
 * found yet.  A start beside us finds its own. */
static void
end_orphans(struct master *m)
{
	adopted_stop(m);
	if (m->has_dir && !runtime_dir_is_starting(&m->dir))
		runtime_dir_end_orphans(&m->dir);
}

static void
master_enter(struct master *m, enum master_state next)
{
	const struct settings *s = m->settings;
	enum master_state was = m->state;

	STATE_CHECK(master, m->state, next);
	if (master_serves(m))
		log_info(LOG_MASTER, "%s -> %s", master_state_names[m->state], master_state_names[next]);
	m->state = next;
	timer_stop(&m->step);
	switch (next) {
	case MASTER_STARTING:
		break;
	case MASTER_SERVING:
		m->served = true;
		m->has_heir = false;
		runtime_dir_started(&m->dir);
		timer_stop(&m->deadline);
		m->deadline_ns = 0;
		break;
	case MASTER_HANDED_OVER:
		m->has_heir = true;
		begin_drain(m);
		break;
	case MASTER_LEAVING:
		say_goodbye(m, true, s->shutdown_deadline_s);
		set_deadline(m, s->shutdown_deadline_s);
		timer_set(m->loop, &m->step, s->shutdown_health_wait_s * 1000ull);
		master_set_health(m, true, "the end");
		break;
	case MASTER_DRAINING:
		begin_drain(m);
		order_end(m);
		tell_drain(m);
		break;
	case MASTER_ENDING:
		say_goodbye(m, was == MASTER_SERVING, 0);
		/* Orphans of a start that fails serve on; an heir adopts ours. */
		if (was != MASTER_STARTING && (!m->has_heir || m->line_ends))
			end_orphans(m);
		expect_ends(m);
		children_tell_workers(&m->children, MSG_STOP);
		child_tell(&m->children.at[0], MSG_STOP_ADMIN);
		timer_set(m->loop, &m->step, STOP_MS);
		break;
	}
	supervisor_entered(m);
}

/* The step of the state at hand is due. */
void
master_on_step(void *arg)
{
	struct master *m = arg;

	if (m->state == MASTER_LEAVING) {
		master_enter(m, MASTER_DRAINING);
		if (children_alive(&m->children, ROLE_WORKER) == 0)
			master_end(m, 0);
	} else if (m->state == MASTER_ENDING) {
		for (unsigned i = 0; i <= m->children.n; i++)
			child_kill(&m->children.at[i], SIGKILL);
	}
}

void
master_on_deadline(void *arg)
{
	struct master *m = arg;

	if (master_held(m))
		log_warning(LOG_MASTER,
		    "deadline: workers that did not cut what they hold are ended, connections=%" PRIu64,
		    master_held(m));
	stat_add(&m->stats->cx_cut_at_deadline, master_held(m));
	master_end(m, 0);
}

/* ---- from one generation to the next */

static int
write_pid(const char *path, struct err *err)
{
	char text[16];

	if (path == NULL)
		return 0;
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	return write_text_file(path, text, err);
}

void
master_take_names(struct master *m)
{
	struct err err;

	if (m->has_dir && runtime_dir_publish(&m->dir, &err) < 0)
		log_error(LOG_MASTER, "%s", err.text);
	if (write_pid(m->settings->pid_file, &err) < 0)
		log_error(LOG_MASTER, "--pid-file: %s", err.text);
}

/* Addresses that were inherited and are not configured any more. */
static void
drop_unclaimed(struct master *m)
{
	struct strb key = {0};

	while (sockets_forget_unclaimed(m->sockets, &key).n) {
		log_info(LOG_MASTER, "address %s is not listened on any more", strb_z(&key));
		successor_removed(m, strb_str(&key));
		adopted_removed(m, strb_str(&key));
	}
	strb_fini(&key);
}

void
master_go(struct master *m)
{
	timer_stop(&m->init);
	sockets_go(m->sockets);
	master_take_names(m);
	master_enter(m, MASTER_SERVING);
	drop_unclaimed(m);
	adopted_drain(m);
	if (m->settings->mode == MODE_INIT_ONLY)
		master_end(m, 0);
	else
		restart_next(m);
}

void
master_order(const struct master *m, struct drain_order *o)
{
	const struct settings *s = m->settings;

	*o = (struct drain_order){
	    .seconds = s->drain_time_s, .immediate = s->drain_immediate, .another_serves = true};
	memcpy(o->deadline_s, s->drain_deadline_s, sizeof(o->deadline_s));
}

void
master_hand_over(struct master *m, const struct drain_order *o)
{
	master_enter(m, MASTER_HANDED_OVER);
	m->order = *o;
	tell_drain(m);
	adopted_let_go(m);
	set_deadline(m, drain_order_last_s(o));
	if (children_alive(&m->children, ROLE_WORKER) == 0)
		master_end(m, 0);
}

void
master_take_back(struct master *m)
{
	master_enter(m, MASTER_SERVING);
	__atomic_store_n(&shm_flags()->draining, 0, __ATOMIC_RELEASE);
	m->children.replacing = true;
	master_take_names(m);
	for (unsigned i = 0; i <= m->children.n; i++) {
		struct child *c = &m->children.at[i];

		c->expected = false;
		c->resumed = c->pid != 0;
		if (c->pid)
			child_tell(c, i ? MSG_RESUME : MSG_RESUME_ADMIN);
		else
			child_start(c);
	}
	sockets_reopen(m->sockets);
	sockets_go(m->sockets);
}

/* ---- draining and the end */

void
master_end_by(struct master *m, uint64_t seconds)
{
	if (master_seconds_left(m) <= seconds)
		return;
	drain_order_until(&m->order, seconds);
	set_deadline(m, seconds);
	tell_drain(m);
}

void
master_held_by_kind(const struct master *m, uint64_t held[DRAIN_KINDS])
{
	for (unsigned k = 0; k < DRAIN_KINDS; k++) {
		held[k] = 0;
		for (unsigned i = 1; i <= m->children.n; i++)
			if (m->children.at[i].pid)
				held[k] += m->children.at[i].holding[k];
	}
}

uint64_t
master_held(const struct master *m)
{
	uint64_t by_kind[DRAIN_KINDS], held = 0;

	master_held_by_kind(m, by_kind);
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		held += by_kind[k];
	return held;
}

void
master_drain(struct master *m)
{
	if (m->state == MASTER_SERVING)
		master_enter(m, MASTER_LEAVING);
	else
		master_end(m, 0);
}

void
master_end(struct master *m, int status)
{
	if (m->exit_status == 0)
		m->exit_status = status;
	if (m->state == MASTER_ENDING)
		return;
	master_enter(m, MASTER_ENDING);
	if (master_is_childless(m))
		loop_stop(m->loop);
}
