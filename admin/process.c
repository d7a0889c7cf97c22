/*
 * The admin process: made by master's fork, ends when master says so, or
 * on SIGTERM once master is dead.  Everything it does starts from a
 * message, a timer, or its own port.
 */
#include <signal.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/blocks.h"
#include "admin/config/load.h"
#include "admin/control.h"
#include "admin/discovery/announce.h"
#include "admin/discovery/eds.h"
#include "admin/discovery/names.h"
#include "admin/flush.h"
#include "admin/folds.h"
#include "admin/health/health.h"
#include "admin/health/outlier.h"
#include "admin/reload.h"
#include "admin/startup.h"
#include "admin/web/server.h"
#include "admin/xds/xds.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/event/signal.h"
#include "lib/ipc/orphan.h"
#include "shm/flags.h"
#include "shm/lane.h"
#include "shm/segment.h"
#include "shm/survivors.h"

/* ---- messages */

static void
on_listened(struct admin *a, struct message_view *v)
{
	struct str key = message_get_s(v);
	bool ok = message_get_u(v) != 0;

	struct str text = message_get_s(v);

	if (!reload_on_listened(a->reload, key, ok, text))
		startup_on_listened(a->startup, key, ok, text);
}

static void
on_listen_admin_fd(struct admin *a, struct message_view *v)
{
	struct str key = message_get_s(v);

	startup_on_admin_fd(a->startup, key, message_take_fd(v));
}

static void
on_prepared(struct admin *a, struct message_view *v)
{
	uint64_t offset = message_get_u(v);
	bool ok = message_get_u(v) != 0;

	publish_prepared(a->publish, v->seat, offset, ok, message_get_s(v));
}

static void
on_worker_started(struct admin *a, struct message_view *v)
{
	unsigned seat = (unsigned)message_get_u(v);

	files_send(a, seat);
	publish_worker_started(a->publish, seat);
	startup_on_workers(a->startup);
}

static void
on_worker_ended(struct admin *a, struct message_view *v)
{
	publish_worker_ended(a->publish, (unsigned)message_get_u(v));
	startup_on_workers(a->startup);
}

static void
on_accepts(struct admin *a, struct message_view *v)
{
	publish_worker_accepts(a->publish, v->seat);
	startup_on_accepts(a->startup);
}

static void
on_reopen_logs(struct admin *a, struct message_view *v)
{
	files_reopen(a);
	health_reopen_logs(a->health);
	outliers_reopen_logs(a->outliers);
}

static void
on_control(struct admin *a, struct message_view *v)
{
	uint64_t id = message_get_u(v);
	struct str line = message_get_s(v);
	bool json = message_get_u(v) != 0;
	struct strb text = {0};
	struct message m;
	unsigned status;

	if (str_eqz(line, "reload")) { /* answered when it is over */
		reload_ask(a->reload, id, json);
		return;
	}
	status = control_run(a, line, json, &text);
	message_init(&m, MSG_CONTROL_DONE);
	message_u(&m, id);
	message_u(&m, status);
	message_s(&m, strb_str(&text));
	admin_send(a, &m);
	strb_fini(&text);
}

static void
on_drain(struct admin *a, struct message_view *v)
{
	bool another_serves;

	message_get_u(v);
	message_get_u(v);
	another_serves = message_get_u(v) != 0;
	a->draining = true;
	if (another_serves && a->web)
		web_stop_accepting(a->web);
	if (another_serves)
		xds_stop(a->xds);
	stats_update(a);
}

/* The port's socket comes again, as to a new process. */
static void
on_resume(struct admin *a, struct message_view *v)
{
	a->draining = false;
	xds_resume(a->xds);
	stats_update(a);
}

static void
on_fold(struct admin *a, struct message_view *v)
{
	folds_ask(a->folds, message_get_u(v));
}

static void
on_parents(struct admin *a, struct message_view *v)
{
	a->parent_connections = message_get_u(v);
	stats_update(a);
}

static void
on_outlier(struct admin *a, struct message_view *v)
{
	struct str cluster = message_get_s(v), address = message_get_s(v);

	outliers_hear(a->outliers, cluster, address, (unsigned)message_get_u(v));
}

static void
on_stop_asked(struct admin *a, struct message_view *v)
{
	admin_stop(a, 0);
}

static void (*const handlers[MESSAGE_TYPES])(struct admin *, struct message_view *) = {
    [MSG_LISTENED] = on_listened,
    [MSG_LISTEN_ADMIN_FD] = on_listen_admin_fd,
    [MSG_PREPARED] = on_prepared,
    [MSG_WORKER_STARTED] = on_worker_started,
    [MSG_WORKER_ENDED] = on_worker_ended,
    [MSG_ACCEPTS] = on_accepts,
    [MSG_REOPEN_LOGS] = on_reopen_logs,
    [MSG_CONTROL] = on_control,
    [MSG_DRAIN_ADMIN] = on_drain,
    [MSG_RESUME_ADMIN] = on_resume,
    [MSG_FOLD] = on_fold,
    [MSG_PARENTS] = on_parents,
    [MSG_OUTLIER] = on_outlier,
    [MSG_STOP_ADMIN] = on_stop_asked,
};

static void
on_message(void *arg, struct message_view *v)
{
	struct admin *a = arg;

	if (handlers[v->type])
		handlers[v->type](a, v);
}

/* ---- master is gone */

static void
on_orphan_stop(void *arg, bool now)
{
	admin_stop(arg, 0);
}

static const struct channel_events channel_events;

static void
tell_adopter(struct admin *a)
{
	struct message m;

	if (a->web && web_fd(a->web) >= 0) {
		message_init(&m, MSG_ORPHAN_ADMIN_SOCKET);
		message_s(&m, startup_admin_key(a->startup));
		m.fd = web_fd(a->web);
		admin_send(a, &m);
	}
	message_init(&m, MSG_ADOPTED_ADMIN);
	message_u(&m, (uint64_t)getpid());
	message_u(&m, a->start->epoch);
	admin_send(a, &m);
	log_info(LOG_MAIN, "admin: adopted by another master");
}

static void
be_adopted(void *arg)
{
	struct admin *a = arg;

	orphan_free(&a->orphan);
	a->channel = channel_new(a->loop, a->adopted_fd, a->start->seat, &channel_events, a);
	a->adopted_fd = -1;
	tell_adopter(a);
}

static void
on_adopted(void *arg, int fd)
{
	struct admin *a = arg;

	if (fd < 0 || a->adopted_fd >= 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	a->adopted_fd = fd;
	loop_defer(a->loop, be_adopted, a);
}

static void
on_orphan_ps(void *arg, bool json, struct strb *out)
{
	const struct admin *a = arg;

	survivors_describe(a->start->epoch, json, out);
}

/* A generation that comes after another has its admin port only when it serves. */
static bool
would_be_missed(const struct admin *a)
{
	bool has_port = a->web && web_fd(a->web) >= 0;

	return a->serving && (has_port || a->draining || startup_admin_key(a->startup).n == 0);
}

static void
become_orphan(void *arg)
{
	static const struct orphan_events events = {on_orphan_stop, on_adopted, on_orphan_ps};
	struct admin *a = arg;

	channel_free(&a->channel);
	if (a->orphan || !would_be_missed(a)) {
		admin_stop(a, 1);
		return;
	}
	log_warning(LOG_MAIN, "admin: master is gone, serving on as an orphan");
	a->orphan = orphan_start(a->loop, a->start, &events, a);
	if (a->orphan == NULL)
		admin_stop(a, 1);
}

static void
on_channel_closed(void *arg)
{
	struct admin *a = arg;

	loop_defer(a->loop, become_orphan, a);
}

static const struct channel_events channel_events = {on_message, on_channel_closed};

static void
on_sigterm(void *arg, const struct signalfd_siginfo *info)
{
	struct admin *a = arg;

	if (a->orphan) /* with a master alive it arrived by process group: master says what to do */
		admin_stop(a, 0);
}

/* ---- the barrier */

static void
send_prepare(void *arg, unsigned seat, uint64_t offset)
{
	struct message m;

	message_init(&m, MSG_PREPARE);
	m.seat = seat;
	message_u(&m, offset);
	admin_send(arg, &m);
}

static void
send_use(void *arg, uint64_t offset)
{
	struct admin *a = arg;
	struct message m;

	startup_before_use(a->startup);
	reload_before_use(a->reload);
	message_init(&m, MSG_USE);
	m.seat = SEAT_ALL;
	message_u(&m, offset);
	message_u(&m, members_before_use(&a->members));
	admin_send(a, &m);
}

static void
on_published(void *arg, uint64_t offset, const char *refused)
{
	struct admin *a = arg;

	turns_done(&a->turns, refused);
}

static void
look_warm(void *arg)
{
	struct admin *a = arg;

	startup_on_warm(a->startup);
	reload_on_warm(a->reload);
}

/* From within a change of the model. */
static void
on_warm(void *arg)
{
	struct admin *a = arg;

	if (!a->ending)
		loop_defer(a->loop, look_warm, a);
}

/* ---- life */

static void
beat(void *arg)
{
	lane_beat();
}

/* How long others, health checks above all, have waited for this turn. */
static void
end_turn(void *arg)
{
	struct admin *a = arg;

	if (a->health)
		health_on_wait(a->health);
	if (a->stats.baton)
		stat_record(&a->stats.baton->admin_turn_us,
		    (clock_mono_ns() - loop_now_ns(a->loop)) / 1000);
}

static int
take_seat(struct admin *a, struct err *err)
{
	a->segment = segment_own();
	if (a->segment == NULL && segment_map(&a->segment, a->start->segment_fd, err) < 0)
		return -1;
	if (lane_take(a->segment, a->start->seat, SEAT_ADMIN, 0, err) < 0 ||
	    blocks_publish_own(a->segment, a->settings, err) < 0)
		return -1;
	a->members.segment = a->segment;
	stats_attach(a);
	health_attach(a->health);
	return 0;
}

static void
admin_init(struct admin *a, const struct process_start *start)
{
	static const struct publish_events events = {send_prepare, send_use, on_published};

	*a = (struct admin){.start = start, .settings = start->settings, .exit_status = 1, .adopted_fd = -1};
	a->loop = loop_new();
	works_init(&a->works, a->loop);
	store_init(&a->store);
	files_init(&a->files);
	members_init(&a->members);
	a->members.on_warm = on_warm;
	a->announce = announce_new(a);
	a->health = health_new(a);
	a->outliers = outliers_new(a);
	a->xds = xds_new(a);
	a->eds = eds_new(a);
	a->names = names_new(a->loop, &a->members);
	a->publish = publish_new(&events, a);
	a->flushes = flushes_new(a);
	a->folds = folds_new(a->loop, a->settings);
	a->reload = reload_new(a);
}

/* What was put off to the end of a turn. */
static void
settle(struct admin *a)
{
	for (unsigned i = 0; i < 3; i++)
		loop_turn(a->loop, false);
}

static void
admin_fini(struct admin *a)
{
	stats_stop(a);
	web_free(&a->web);
	settle(a);
	works_fini(&a->works); /* as long as everything is there that they work for */
	startup_free(&a->startup);
	orphan_free(&a->orphan);
	signals_close(&a->signals);
	channel_free(&a->channel);
	flushes_free(&a->flushes);
	folds_free(&a->folds);
	reload_free(&a->reload);
	publish_free(&a->publish);
	announce_free(&a->announce);
	turns_fini(&a->turns);
	members_fini(&a->members);
	health_free(&a->health);
	outliers_free(&a->outliers);
	eds_free(&a->eds);
	xds_free(&a->xds);
	names_free(&a->names);
	settle(a);
	files_fini(&a->files);
	admin_store_fini(a);
	loop_free(&a->loop);
}

/* The reason of a start that never got to its messages. */
static int
give_up(struct admin *a, const struct err *err)
{
	struct message m;

	log_critical(LOG_INIT, "admin: %s", err->text);
	message_init(&m, MSG_FAILED);
	message_u(&m, 1);
	message_z(&m, err->text);
	if (a->start->journal_use == 0) /* a replaced admin must not end what serves */
		admin_send(a, &m);
	else
		message_fini(&m);
	return 1;
}

static int
open_log(struct admin *a, struct err *err)
{
	if (a->settings->log_path == NULL)
		return 0;
	if (files_open_app_log(&a->files, a->settings->log_path, err) < 0)
		return -1;
	files_send_app_log(a);
	return 0;
}

/* What nobody else has noted: a generation begins; a replaced admin finds it done. */
static void
note_start(const struct admin *a, struct shm_flags *f)
{
	if (a->start->journal_use == 0)
		__atomic_store_n(&f->state, SERVER_PRE_INITIALIZING, __ATOMIC_RELEASE);
	if (f->started_wall_ns == 0)
		f->started_wall_ns = clock_wall_ns();
	if (f->first_started_wall_ns == 0)
		f->first_started_wall_ns = f->started_wall_ns;
}

static int
serve(struct admin *a)
{
	static const struct signal_row rows[] = {{SIGTERM, on_sigterm}};
	struct err err = {""};

	a->channel = channel_new(a->loop, a->start->channel_fd, a->start->seat, &channel_events, a);
	a->signals = signals_open(a->loop, rows, ARRAY_LEN(rows), a);
	if (take_seat(a, &err) < 0 || open_log(a, &err) < 0)
		return give_up(a, &err);
	note_start(a, shm_flags());
	loop_on_turn(a->loop, beat, NULL);
	loop_on_wait(a->loop, end_turn, a);
	stats_start(a);
	startup_begin(a);
	if (!a->ending) /* refused before the first turn */
		loop_run(a->loop);
	return a->exit_status;
}

static int
run(const struct process_start *start)
{
	static const int ignored[] = {
	    SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTTOU, SIGTTIN, SIGTSTP, SIGPIPE};
	struct admin a;
	int status;

	if (start->settings->mode == MODE_VALIDATE)
		return load_validate(start->settings);
	if (start->settings->mode == MODE_PRINT)
		return load_print(start->settings);
	signals_reset(ignored, ARRAY_LEN(ignored));
	admin_init(&a, start);
	status = serve(&a);
	admin_fini(&a);
	return status;
}

const struct process admin_process = {"admin", run};
