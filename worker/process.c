/*
 * The worker process: forked by master, it carries connections from
 * accept to access log.  What it runs comes as messages: descriptors,
 * offsets of the journal, and when to go.  It never blocks, opens no file
 * and asks nobody before it answers.
 *
 * Without master it goes on serving as an orphan until it is told to stop.
 */
#include <signal.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/net/address.h"
#include "lib/upstream/cluster.h"
#include "shm/flags.h"
#include "shm/lane.h"
#include "shm/survivors.h"
#include "worker/access_log/access_log.h"
#include "worker/process_private.h"

#define TICK_MS 100u	  /* master lends our sockets after 250 ms without a beat */
#define HOLDING_TICKS 10u /* a draining worker reports once a second */

STATE_TABLE(worker, WORKER_STATES)

void
worker_enter(struct worker *w, enum worker_state next)
{
	STATE_CHECK(worker, w->state, next);
	log_debug(LOG_WORKER, "worker %u: %s -> %s", w->start->index, worker_state_names[w->state],
	    worker_state_names[next]);
	w->state = next;
	if (next == WORKER_ENDED)
		loop_stop(w->loop);
}

void
worker_tell_master(struct worker *w, struct message *m)
{
	if (w->channel)
		channel_send(w->channel, m);
	else
		message_fini(m);
}

/* ---- sockets */

static void
on_listen_fd(struct worker *w, struct message_view *v)
{
	struct str key = message_get_s(v);
	struct listener_socket s = {key, (unsigned)message_get_u(v), message_take_fd(v), false};

	message_get_u(v); /* lent or its own is all the same here */
	s.handed = message_get_u(v) != 0;
	if (s.fd >= 0)
		listeners_add_socket(&w->listeners, &s);
	else
		log_warning(
		    LOG_WORKER, "listener '" STR_FMT "': its socket did not arrive", STR_ARG(key));
}

static void
on_listen_all(struct worker *w, struct message_view *v)
{
	struct message m;

	message_init(&m, MSG_ACCEPTS);
	worker_tell_master(w, &m);
}

static void
on_listen_back(struct worker *w, struct message_view *v)
{
	struct str key = message_get_s(v);

	listeners_take_back(&w->listeners, key, (unsigned)message_get_u(v));
}

/* ---- logs */

static void
on_log_fd(struct worker *w, struct message_view *v)
{
	struct str path = message_get_s(v);
	int fd = message_take_fd(v);

	if (fd >= 0)
		access_logs_set_fd(path, fd);
}

static void
on_app_log_fd(struct worker *w, struct message_view *v)
{
	int fd = message_take_fd(v);

	if (fd < 0)
		return;
	log_set_fd(fd);
	if (w->app_log_fd >= 0)
		close(w->app_log_fd);
	w->app_log_fd = fd;
}

static void
on_log_level(struct worker *w, struct message_view *v)
{
	struct str name = message_get_s(v);
	uint64_t level = message_get_u(v);
	enum log_component c;

	if (level > LOG_OFF)
		return;
	if (name.n == 0)
		log_set_all((enum log_level)level);
	else if (log_component_parse(name, &c))
		log_set(c, (enum log_level)level);
}

/* ---- master */

static void (*const handlers[MESSAGE_TYPES])(struct worker *, struct message_view *) = {
    [MSG_LISTEN_FD] = on_listen_fd,
    [MSG_LISTEN_ALL] = on_listen_all,
    [MSG_LISTEN_BACK] = on_listen_back,
    [MSG_JOURNAL_FD] = worker_on_journal_fd,
    [MSG_PREPARE] = worker_on_prepare,
    [MSG_USE] = worker_on_use,
    [MSG_FORGET] = worker_on_forget,
    [MSG_LOG_FD] = on_log_fd,
    [MSG_APP_LOG_FD] = on_app_log_fd,
    [MSG_LOG_LEVEL] = on_log_level,
    [MSG_STOP_ACCEPTING] = worker_on_stop_accepting,
    [MSG_DRAIN_LISTENERS] = worker_on_drain_listeners,
    [MSG_DRAIN] = worker_on_drain,
    [MSG_RESUME] = worker_on_resume,
    [MSG_HAND_TO] = worker_on_hand_to,
    [MSG_HAND_FROM] = worker_on_hand_from,
    [MSG_STOP] = worker_on_stop,
};

static void
on_message(void *arg, struct message_view *v)
{
	if (handlers[v->type])
		handlers[v->type](arg, v);
}

static void
on_orphan_stop(void *arg, bool now)
{
	struct worker *w = arg;
	const struct settings *s = w->start->settings;
	struct drain_order o = {.seconds = s->drain_time_s, .immediate = s->drain_immediate};

	if (w->state == WORKER_ENDED)
		return;
	drain_order_until(&o, s->shutdown_deadline_s);
	if (now)
		worker_enter(w, WORKER_ENDED);
	else
		worker_drain(w, &o);
}

static const struct channel_events channel_events;
static void tell_adopter(struct worker *w);

static void
be_adopted(void *arg)
{
	struct worker *w = arg;

	orphan_free(&w->orphan);
	w->channel =
	    channel_new(w->loop, w->adopted_fd, w->start->seat, &channel_events, w);
	w->adopted_fd = -1;
	w->adopted = true;
	tell_adopter(w);
}

static void
on_adopted(void *arg, int fd)
{
	struct worker *w = arg;

	if (fd < 0 || w->adopted_fd >= 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	w->adopted_fd = fd;
	loop_defer(w->loop, be_adopted, w);
}

static void
on_orphan_ps(void *arg, bool json, struct strb *out)
{
	const struct worker *w = arg;

	survivors_describe(w->start->epoch, json, out);
}

static void
become_orphan(void *arg)
{
	static const struct orphan_events events = {on_orphan_stop, on_adopted, on_orphan_ps};
	struct worker *w = arg;
	struct listener_socket first;

	channel_free(&w->channel);
	if (!listeners_socket(&w->listeners, 0, &first) && w->hcm.held == 0 &&
	    handover_unanswered(&w->handover) == 0) { /* nobody would miss us */
		worker_enter(w, WORKER_ENDED);
		return;
	}
	log_warning(
	    LOG_WORKER, "worker %u: master is gone, serving on as an orphan", w->start->index);
	w->orphan = orphan_start(w->loop, w->start, &events, w);
}

static void
on_channel_closed(void *arg)
{
	struct worker *w = arg;

	loop_defer(w->loop, become_orphan, w);
}

static const struct channel_events channel_events = {on_message, on_channel_closed};

/* All it needs to go on where our master stopped: the listening sockets first. */
static void
tell_adopter(struct worker *w)
{
	struct listener_socket s;
	struct message m;

	for (size_t i = 0; listeners_socket(&w->listeners, i, &s); i++) {
		message_init(&m, MSG_ORPHAN_SOCKET);
		message_s(&m, s.key);
		message_u(&m, s.index);
		message_u(&m, s.handed);
		m.fd = s.fd;
		worker_tell_master(w, &m);
	}
	message_init(&m, MSG_ADOPTED);
	message_u(&m, (uint64_t)getpid());
	message_u(&m, w->start->epoch);
	worker_tell_master(w, &m);
	log_info(LOG_WORKER, "worker %u: adopted by another master", w->start->index);
}

static void
on_sigterm(void *arg, const struct signalfd_siginfo *info)
{
	struct worker *w = arg;

	/* With a master alive it came by process group: master says what to do.  Who drains already
	 * ends at once. */
	if (w->channel == NULL)
		on_orphan_stop(w, w->state == WORKER_DRAINING);
}

static const struct signal_row signal_rows[] = {{SIGTERM, on_sigterm}};

/* ---- the beat */

static void
on_turn(void *arg)
{
	lane_beat();
}

static void
on_tick(void *arg)
{
	struct worker *w = arg;

	timer_set(w->loop, &w->tick, TICK_MS);
	stat_add(&w->stats->log_lines_dropped, log_take_dropped());
	if (snapshots_alive() == 1 && upstream_departed == 0 && w->build == NULL)
		lane_let_go(w->retired);
	if (drain_look(&w->drain, shm_flags()) && w->state == WORKER_SERVING)
		hcm_tell_all(&w->hcm);
	if (w->state != WORKER_DRAINING)
		return;
	hcm_cut_late(&w->hcm);
	if (++w->ticks % HOLDING_TICKS == 0)
		worker_report_holding(w);
	worker_end_if_empty(w);
}

/* ---- life */

static void
report_outlier(void *arg, struct host *h, enum outlier_streak s)
{
	struct message m;
	char address[ADDRESS_TEXT];

	message_init(&m, MSG_OUTLIER);
	message_s(&m, h->cluster->name);
	address_format(&h->address, address);
	message_z(&m, address);
	message_u(&m, s);
	worker_tell_master(arg, &m);
}

static void
init(struct worker *w, const struct process_start *start)
{
	const struct settings *s = start->settings;

	*w = (struct worker){.start = start, .journal_fd = start->journal_fd, .app_log_fd = -1, .adopted_fd = -1};
	w->stats = baton_stats_of("baton.");
	signal(SIGPIPE, SIG_IGN);
	gethostname(w->hostname, sizeof(w->hostname) - 1);
	w->loop = loop_new();
	loop_on_turn(w->loop, on_turn, w);
	timer_init(&w->tick, on_tick, w);
	timer_init(&w->slice, worker_on_slice, w);
	timer_init(&w->stop, worker_on_window_over, w);
	access_logs_init(w->loop, s->file_flush_interval_ms);
	drain_init(&w->drain, s->drain_time_s, s->drain_immediate);
	hcm_init(&w->hcm, w->loop, &w->drain, w->hostname);
	w->hcm.next_id = start->index;
	w->hcm.id_step = s->concurrency ? s->concurrency : 1;
	listeners_init(&w->listeners, &w->hcm);
	outlier_set_reporter(report_outlier, w);
	handover_init(&w->handover, &w->hcm, &w->listeners);
	w->channel = channel_new(w->loop, start->channel_fd, start->seat, &channel_events, w);
	w->signals = signals_open(w->loop, signal_rows, ARRAY_LEN(signal_rows), w);
}

static void
fini(struct worker *w)
{
	timer_stop(&w->tick);
	timer_stop(&w->stop);
	worker_forget_build(w);
	handover_fini(&w->handover);
	hcm_abort_all(&w->hcm);
	loop_turn(w->loop, false); /* what was deferred */
	listeners_fini(&w->listeners);
	snapshot_unref(&w->snapshot);
	access_logs_flush();
	orphan_free(&w->orphan);
	channel_free(&w->channel);
	signals_close(&w->signals);
	loop_turn(w->loop, false);
	loop_free(&w->loop);
}

static int
run(const struct process_start *start)
{
	struct worker w;
	bool stillborn;

	init(&w, start);
	on_tick(&w);
	if (start->journal_use)
		worker_use_offset(&w, start->journal_use);
	stillborn =
	    start->journal_use && w.snapshot == NULL; /* master tries again, later each time */
	if (!stillborn)
		loop_run(w.loop);
	fini(&w);
	return stillborn;
}

extern const struct process worker_process;
const struct process worker_process = {"worker", run};
