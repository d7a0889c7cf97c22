#include "master/master.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/state.h"
#include "lib/event/loop.h"
#include "lib/event/signal.h"
#include "lib/ipc/listen.h"
#include "master/adopt.h"
#include "master/control.h"
#include "master/line.h"
#include "master/listen_fds.h"
#include "master/log_fds.h"
#include "master/master_private.h"
#include "master/predecessor.h"
#include "master/signals.h"
#include "master/sockets.h"
#include "master/successor.h"
#include "shm/flags.h"
#include "shm/lane.h"

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

bool
master_serves(const struct master *m)
{
	return m->settings->mode == MODE_SERVE || m->settings->mode == MODE_INIT_ONLY;
}

static int
write_pid(const char *path, struct err *err)
{
	char text[16];

	if (path == NULL)
		return 0;
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	return write_text_file(path, text, err);
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

static bool
is_childless(const struct master *m)
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
static void
on_step(void *arg)
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

static void
on_deadline(void *arg)
{
	struct master *m = arg;

	if (master_held(m))
		log_warning(LOG_MASTER,
		    "deadline: workers that did not cut what they hold are ended, connections=%" PRIu64,
		    master_held(m));
	stat_add(&m->stats->cx_cut_at_deadline, master_held(m));
	master_end(m, 0);
}

static void
on_init_late(void *arg)
{
	successor_gives_up(arg, "not ready within --init-timeout-s");
}

/* ---- from one generation to the next */

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
		if (c->pid)
			child_tell(c, i ? MSG_RESUME : MSG_RESUME_ADMIN);
		else
			child_start(c);
	}
	sockets_reopen(m->sockets);
	sockets_go(m->sockets);
}

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
	if (is_childless(m))
		loop_stop(m->loop);
}

void
master_reload(struct master *m)
{
	struct child *admin = &m->children.at[0];
	struct message out;

	if (m->state != MASTER_STARTING && m->state != MASTER_SERVING) {
		log_warning(LOG_MASTER, "reload: refused, this generation is %s", master_state_name(m));
		return;
	}
	if (admin->state != CHILD_READY || m->restart.running) { /* asked again when that is over */
		m->reload_wanted = true;
		return;
	}
	m->reload_wanted = false;
	message_init(&out, MSG_CONTROL);
	message_u(&out, RELOAD_ID); /* nobody of the askers has this one */
	message_z(&out, "reload");
	message_u(&out, 0);
	m->reloading += child_send(admin, &out);
}

void
master_reload_done(struct master *m)
{
	if (m->reloading && --m->reloading == 0)
		restart_next(m);
}

void
master_set_health(struct master *m, bool failed, const char *who)
{
	if (flag_get(&shm_flags()->health_failed) == failed)
		return;
	log_info(LOG_MASTER, "%s, by %s", failed ? "out of rotation" : "back in rotation", who);
	shm_set_health_failed(failed);
}

/* ---- children come and go */

static void
tell_admin_of_worker(struct master *m, enum message_type t, const struct child *worker)
{
	struct message out;

	message_init(&out, t);
	message_u(&out, worker->seat);
	child_send(&m->children.at[0], &out);
}

static void
on_started(void *arg, struct child *c)
{
	struct master *m = arg;

	if (c->role == ROLE_WORKER) {
		stat_inc(&m->stats->worker_starts);
		log_fds_give(m->log_fds, c);
		tell_admin_of_worker(m, MSG_WORKER_STARTED, c);
		return;
	}
	sockets_admin_came(m->sockets);
	for (unsigned i = 1; i <= m->children.n; i++)
		if (m->children.at[i].pid)
			tell_admin_of_worker(m, MSG_WORKER_STARTED, &m->children.at[i]);
}

static void
worker_ended(struct master *m, struct child *c)
{
	if (!c->expected)
		stat_inc(&m->stats->worker_crashes);
	sockets_worker_ended(m->sockets, c->index);
	tell_admin_of_worker(m, MSG_WORKER_ENDED, c);
	if ((m->state == MASTER_DRAINING || m->state == MASTER_HANDED_OVER) &&
	    children_alive(&m->children, ROLE_WORKER) == 0)
		master_end(m, 0);
}

/* Modes that do not serve end as their admin did. */
static int
status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void
admin_ended(struct master *m, struct child *c, int status)
{
	control_admin_ended(m->control);
	m->reloading = 0;
	supervisor_reload_ended(m, false, STR("admin ended before it was in force"));
	if (!master_serves(m)) {
		m->exit_status = status_of(status);
		master_end(m, m->exit_status);
		return;
	}
	if (!c->expected)
		stat_inc(&m->stats->admin_crashes);
	if (m->admin_serves || m->state == MASTER_ENDING)
		return;
	log_error(LOG_MASTER, "admin ended before start-up was complete, so baton ends");
	master_end(m, WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

static void
on_ended(void *arg, struct child *c, int status)
{
	struct master *m = arg;

	if (c->role == ROLE_WORKER)
		worker_ended(m, c);
	else
		admin_ended(m, c, status);
	if (m->state == MASTER_ENDING && is_childless(m))
		loop_stop(m->loop);
}

static const struct children_events children_events = {master_on_message, on_started, on_ended};

/* ---- sockets go to workers and admin */

static void
give_socket(void *arg, unsigned worker, const struct socket_at *at, bool lent)
{
	struct master *m = arg;
	struct message out;

	message_init(&out, worker ? MSG_LISTEN_FD : MSG_LISTEN_ADMIN_FD);
	message_s(&out, at->key);
	if (worker) {
		message_u(&out, at->index);
		message_u(&out, lent);
		message_u(&out, (at->flags & LISTEN_HANDED) != 0);
	}
	out.fd = at->fd;
	child_send(&m->children.at[worker], &out);
}

static void
take_socket_back(void *arg, unsigned worker, struct str key, unsigned index)
{
	struct master *m = arg;
	struct message out;

	message_init(&out, MSG_LISTEN_BACK);
	message_s(&out, key);
	message_u(&out, index);
	child_send(&m->children.at[worker], &out);
}

static const struct sockets_events sockets_events = {give_socket, take_socket_back};

/* ---- the tick */

static void
on_tick(void *arg)
{
	struct master *m = arg;
	uint32_t wait = 0;

	timer_set(m->loop, &m->tick, WATCH_TICK_MS);
	master_watch(m);
	supervisor_tick(m);
	stat_add(&m->stats->log_lines_dropped, log_take_dropped());
	for (unsigned i = 1; i <= m->children.n; i++)
		if (m->children.at[i].backoff_ms > wait)
			wait = m->children.at[i].backoff_ms;
	stat_set(&m->stats->worker_backoff_ms, wait);
	if (++m->ticks % (1000 / WATCH_TICK_MS) == 0) {
		predecessor_report(m);
		line_look(m);
		supervisor_second(m);
		lane_let_go(lane_retired()); /* its own blocks are never retired */
	}
}

static void
on_turn(void *arg)
{
	lane_beat();
}

/* ---- the start */

/* Descriptors: as many as the system lets us have, and enough to begin with. */
static int
raise_limits(const struct settings *s, struct err *err)
{
	struct rlimit l;
	rlim_t least = 64 + 8 * (rlim_t)s->concurrency;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return err_sys(err, "RLIMIT_NOFILE");
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	getrlimit(RLIMIT_NOFILE, &l);
	if (l.rlim_cur < least)
		return err_set(err, "the limit of open files is %llu, %llu are needed (ulimit -n)",
		    (unsigned long long)l.rlim_cur, (unsigned long long)least);
	return 0;
}

static enum runtime_start
start_of(const struct options *o)
{
	if (o->epoch_auto)
		return RUNTIME_AUTO;
	return o->settings.restart_epoch ? RUNTIME_TAKE_OVER : RUNTIME_PLAIN;
}

static int
open_directory(struct master *m, const struct options *o, struct err *err)
{
	struct runtime_request q = {.option = o->settings.runtime_dir,
	    .base_id = o->settings.base_id,
	    .dynamic = o->dynamic_base_id,
	    .start = start_of(o),
	    .alone_is_fine = o->no_parent_is_fine,
	    .concurrency = o->settings.concurrency};
	char text[16];

	if (o->settings.hot_restart_disabled) {
		struct segment_params p = {.concurrency = o->settings.concurrency};

		return segment_create_private(&m->segment, &p, err);
	}
	if (runtime_dir_open(&m->dir, &q, err) < 0)
		return -1;
	m->has_dir = true;
	snprintf(text, sizeof(text), "%u\n", m->dir.base_id);
	if (runtime_dir_segment(&m->dir, o->settings.concurrency, &m->segment, err) < 0 ||
	    runtime_dir_listen(&m->dir, err) < 0 ||
	    (o->base_id_path && write_text_file(o->base_id_path, text, err) < 0))
		return -1;
	return 0;
}

/* Master's own numbers.  It publishes them before admin exists; later only admin publishes. */
static int
publish_stats(struct master *m, struct err *err)
{
	struct shm_flags *flags;

	if (lane_take(m->segment, SEAT_OF_MASTER, SEAT_MASTER, 0, err) < 0 ||
	    block_publish(m->segment, SCOPE_baton, STR("baton."), err) < 0)
		return -1;
	m->stats = baton_stats_of("baton.");
	for (unsigned i = 0; i <= m->children.n; i++) {
		char prefix[48];

		snprintf(prefix, sizeof(prefix), i ? "server.worker_%u." : "server.main_thread.", i - 1);
		if (block_publish(m->segment, SCOPE_watchdog, str_of(prefix), err) < 0)
			return -1;
		m->watched[i] = watchdog_stats_of(prefix);
	}
	flags = shm_flags();
	flags->epoch = m->settings->restart_epoch;
	flags->state = SERVER_PRE_INITIALIZING;
	flags->started_wall_ns = flags->first_started_wall_ns = clock_wall_ns();
	if (m->elder_started_ns)
		flags->first_started_wall_ns = m->elder_started_ns;
	if (m->elder_health_failed && !m->settings->healthy_after_restart)
		shm_set_health_failed(true);
	stat_set(&m->stats->generations, 1);
	return 0;
}

static int
open_serving(struct master *m, const struct options *o, struct settings *s, struct err *err)
{
	if (s->mode == MODE_SERVE)
		supervisor_open(m);
	if (identity_find(&m->children.identity, o->settings.user, geteuid() == 0, err) < 0 ||
	    raise_limits(&o->settings, err) < 0 || open_directory(m, o, err) < 0 ||
	    (m->dir.has_elder && successor_take(m, o, s, err) < 0) || publish_stats(m, err) < 0 ||
	    privileges_drop(ROLE_MASTER, &m->children.identity, err) < 0)
		return -1;
	listen_fds_take(m->sockets);
	m->children.segment = m->segment;
	m->children.gifts.segment_fd = m->segment->fd;
	m->children.gifts.control_fd = m->dir.control_fd;
	if (m->dir.control_fd >= 0)
		m->control = control_new(m, m->dir.control_fd);
	loop_on_turn(m->loop, on_turn, m);
	timer_set(m->loop, &m->tick, WATCH_TICK_MS);
	if (m->dir.has_elder)
		timer_set(m->loop, &m->init, s->init_timeout_s * 1000ull);
	return 0;
}

static void
start_children(struct master *m)
{
	unsigned n = master_serves(m) ? m->children.n : 0;

	m->children.replacing = master_serves(m);
	for (unsigned i = 0; i <= n; i++) {
		child_start(&m->children.at[i]);
		m->children.at[i].expected = !master_serves(m);
	}
}

static void
begin_after_adoption(struct master *m)
{
	if (m->epoch_auto)
		*m->epoch_auto = shm_flags()->epoch = (uint32_t)m->orphans_epoch + 1;
	process_title("baton: master epoch %u", m->settings->restart_epoch);
	m->children.gifts.elder_generation = m->dir.orphans;
	start_children(m);
}

/* A copy of the options, as a base id may have been chosen only now. */
static void
master_init(struct master *m, const struct settings *s, const struct process *admin,
    const struct process *worker)
{
	*m = (struct master){.settings = s, .log_fd = -1};
	m->dir.base_fd = m->dir.lock_fd = m->dir.control_fd = -1;
	m->supervisor.notify.fd = -1;
	m->loop = loop_new();
	m->started_ns = loop_now_ns(m->loop);
	timer_init(&m->tick, on_tick, m);
	timer_init(&m->step, on_step, m);
	timer_init(&m->deadline, on_deadline, m);
	timer_init(&m->init, on_init_late, m);
	list_init(&m->links);
	list_init(&m->adopted);
	timer_init(&m->adoption, adopt_late, m);
	restart_init(&m->restart, m);
	children_init(&m->children, m->loop, s, admin, worker, &children_events, m);
	m->log_fds = log_fds_new();
	m->sockets = sockets_new(s->concurrency, &sockets_events, m);
	m->watched = mem_array(struct watchdog_stats *, s->concurrency + 1);
	m->stats = baton_stats_of("baton."); /* a scratch area until there is a segment */
}

static void
master_fini(struct master *m, bool served)
{
	struct list *n;

	supervisor_close(m);
	restart_fini(&m->restart);
	adopted_fini(m);
	control_close(m->control);
	while ((n = list_first(&m->links)) != NULL) {
		struct link *l = list_entry(n, struct link, node);

		link_free(&l);
	}
	signals_close(&m->signals);
	timer_stop(&m->tick);
	timer_stop(&m->step);
	timer_stop(&m->deadline);
	timer_stop(&m->init);
	children_fini(&m->children);
	sockets_free(&m->sockets, !m->has_heir);
	log_fds_free(&m->log_fds);
	if (m->has_dir)
		runtime_dir_remove(&m->dir, !served ? RUNTIME_FAILED
			: m->has_heir && !m->line_ends ? RUNTIME_LEFT
			: RUNTIME_ENDED);
	if (served && !m->has_heir && m->settings->pid_file)
		unlink(m->settings->pid_file);
	if (m->children.gifts.journal_fd >= 0)
		close(m->children.gifts.journal_fd);
	successor_forget_journal(m);
	if (m->log_fd >= 0) {
		log_set_fd(STDERR_FILENO);
		close(m->log_fd);
	}
	if (m->segment) {
		segment_use(NULL);
		segment_free(&m->segment);
	}
	mem_free(m->watched);
	control_free(&m->control); /* who waited for the end may start another one now */
	loop_free(&m->loop);
}

static int
open_all(struct master *m, const struct options *o, struct settings *s, struct err *err)
{
	if (master_serves(m) && open_serving(m, o, s, err) < 0)
		return -1;
	m->signals = master_signals(m->loop, m);
	return m->signals ? 0 : err_sys(err, "signalfd");
}

int
master_run(const struct options *o, const struct process *admin, const struct process *worker)
{
	struct settings settings = o->settings;
	struct err err = {""};
	struct master m;

	master_init(&m, &settings, admin, worker);
	if (open_all(&m, o, &settings, &err) < 0) {
		log_error(LOG_MASTER, "%s", err.text);
		master_fini(&m, false);
		return 1;
	}
	if (m.has_dir)
		settings.base_id = m.dir.base_id;
	process_title("baton: master epoch %u", settings.restart_epoch);
	m.epoch_auto = o->epoch_auto ? &settings.restart_epoch : NULL;
	if (m.dir.orphans)
		adopt_all_left(&m, begin_after_adoption);
	else
		start_children(&m);
	loop_run(m.loop);
	if (master_serves(&m))
		log_info(LOG_MASTER, "ended, status=%d", m.exit_status);
	master_fini(&m, m.served);
	return m.exit_status;
}
