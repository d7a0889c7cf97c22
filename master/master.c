#include "master/master.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/event/signal.h"
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
#include "shm/block.h"
#include "shm/flags.h"
#include "shm/lane.h"

bool
master_serves(const struct master *m)
{
	return m->settings->mode == MODE_SERVE || m->settings->mode == MODE_INIT_ONLY;
}

/* ---- what it is asked for */

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

static void
on_init_late(void *arg)
{
	successor_gives_up(arg, "not ready within --init-timeout-s");
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
	    (o->base_id_path && write_text_file(o->base_id_path, text, err) < 0)) {
		if (m->dir.has_elder)
			successor_says_why(m, str_of(err->text));
		return -1;
	}
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
	timer_init(&m->step, master_on_step, m);
	timer_init(&m->deadline, master_on_deadline, m);
	timer_init(&m->init, on_init_late, m);
	list_init(&m->links);
	list_init(&m->adopted);
	timer_init(&m->adoption, adopt_late, m);
	restart_init(&m->restart, m);
	children_init(&m->children, m->loop, s, admin, worker, &master_children_events, m);
	m->log_fds = log_fds_new();
	m->sockets = sockets_new(s->concurrency, &master_sockets_events, m);
	m->watched = mem_array(struct watchdog_stats *, s->concurrency + 1);
	m->stats = baton_stats_of("baton."); /* a scratch area until there is a segment */
}

/* ---- the end, and the whole */

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
