#include "admin/startup.h"

#include <fcntl.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/blocks.h"
#include "admin/config/load.h"
#include "admin/discovery/announce.h"
#include "admin/discovery/inherit.h"
#include "admin/health/health.h"
#include "admin/health/outlier.h"
#include "admin/listen.h"
#include "admin/reload.h"
#include "admin/stats_config.h"
#include "admin/verdicts.h"
#include "admin/web/server.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/state.h"
#include "lib/ipc/journal.h"
#include "shm/block.h"
#include "shm/flags.h"

#define STARTUP_STATES(STATE)                                                                      \
	STATE(STARTUP_LOADING, "loading",                                                          \
	    TO(STARTUP_LISTENING) | TO(STARTUP_FAILED))                                            \
	STATE(STARTUP_LISTENING, "listening",                                                      \
	    TO(STARTUP_WARMING) | TO(STARTUP_DONE) | TO(STARTUP_FAILED))                           \
	STATE(STARTUP_WARMING, "warming", TO(STARTUP_GATHERING) | TO(STARTUP_FAILED))              \
	STATE(STARTUP_GATHERING, "gathering", TO(STARTUP_PUBLISHING) | TO(STARTUP_FAILED))         \
	STATE(STARTUP_PUBLISHING, "publishing", TO(STARTUP_OPENING) | TO(STARTUP_FAILED))          \
	STATE(STARTUP_OPENING, "opening", TO(STARTUP_DONE))                                        \
	STATE(STARTUP_DONE, "done", 0)                                                             \
	STATE(STARTUP_FAILED, "failed", 0)
enum startup_state { STARTUP_STATES(STATE_ENUM) };
STATE_TABLE(startup, STARTUP_STATES)

/* How long a missing worker is waited for when others are there: it crashes, master backs off. */
#define GATHER_MS 2000

struct startup {
	struct admin *a;
	enum startup_state state;
	bool again; /* what is in force came from the journal */
	struct timer gather;
	struct turn turn;                  /* at the barrier */
	struct strb admin_key;             /* empty: no admin port */
	bool admin_listened, admin_has_fd; /* its two answers came */
	int admin_fd;
	struct strb admin_bound;
	uint64_t journal_before; /* size before our records */
};

static void
startup_enter(struct startup *s, enum startup_state next)
{
	STATE_CHECK(startup, s->state, next);
	log_debug(LOG_INIT, "start-up: %s -> %s", startup_state_names[s->state],
	    startup_state_names[next]);
	s->state = next;
}

struct str
startup_admin_key(const struct startup *s)
{
	return strb_str(&s->admin_key);
}

bool
startup_is_over(const struct startup *s)
{
	return s->state == STARTUP_DONE || s->state == STARTUP_FAILED;
}

bool
startup_is_again(const struct startup *s)
{
	return s->again;
}

/* The one place where a start ends badly.  */
static void
fail(struct startup *s, const char *why)
{
	struct message m;

	if (s->state == STARTUP_FAILED) /* the first reason counts */
		return;
	log_critical(LOG_INIT, "start-up: %s", why);
	startup_enter(s, STARTUP_FAILED);
	if (!s->again) { /* master ends the generation; a replaced admin only itself */
		message_init(&m, MSG_FAILED);
		message_u(&m, 1);
		message_z(&m, why);
		admin_send(s->a, &m);
	}
	admin_stop(s->a, 1);
}

static void
set_state(enum server_state state)
{
	__atomic_store_n(&shm_flags()->state, state, __ATOMIC_RELEASE);
}

/* ---- DONE */

static void
done(struct startup *s)
{
	struct admin *a = s->a;
	uint64_t took_ms;
	struct message m;

	startup_enter(s, STARTUP_DONE);
	set_state(SERVER_LIVE);
	a->serving = true;
	if (!s->again) {
		stats_count_added(a);
		took_ms = (loop_wall_ns(a->loop) - shm_flags()->started_wall_ns) / 1000000;
		stat_record(&a->stats.server->initialization_time_ms, took_ms);
	}
	stats_update(a);
	message_init(&m, MSG_SERVING);
	admin_send(a, &m);
	log_info(LOG_MAIN, "admin: %s, listeners=%zu, clusters=%zu, workers=%u",
	    s->again ? "back with the configuration in force" : "start-up complete",
	    a->store.listeners.len, a->members.clusters.len, publish_workers(a->publish));
	announce_may_begin(a->announce);
	reload_may_begin(a->reload);
}

/* ---- OPENING */

/* LIVE is a promise that holds without master: a worker that still waits for its sockets could not
 * accept if master were killed now. */
static void
open_if_all(struct startup *s)
{
	if (s->state == STARTUP_OPENING && publish_all_accept(s->a->publish))
		done(s);
}

void
startup_on_accepts(struct startup *s)
{
	open_if_all(s);
}

/* ---- PUBLISHING */

static void
turn_begin(void *arg)
{
	struct startup *s = arg;
	struct admin *a = s->a;
	struct err err = {""};

	if (members_write(&a->members, a->store.journal, &a->store, &err) < 0) {
		turns_pass(&a->turns);
		fail(s, err.text);
		return;
	}
	startup_enter(s, STARTUP_PUBLISHING);
	publish_start(a->publish, journal_size(a->store.journal));
}

static void
turn_done(void *arg, const char *refused)
{
	struct startup *s = arg;
	struct err err = {""};

	if (refused == NULL) {
		members_written(&s->a->members, true);
		startup_enter(s, STARTUP_OPENING);
		open_if_all(s);
		return;
	}
	journal_rewind(s->a->store.journal, s->journal_before);
	err_set(&err, "configuration refused: %s", refused);
	fail(s, err.text);
}

void
startup_before_use(struct startup *s)
{
	if (s->state == STARTUP_PUBLISHING)
		members_accept(&s->a->members, &s->a->store);
}

static void
publish_now(struct startup *s)
{
	timer_stop(&s->gather);
	if (!turns_has(&s->a->turns, &s->turn))
		turns_ask(&s->a->turns, &s->turn);
}

/* ---- GATHERING */

static void
on_gather_late(void *arg)
{
	struct startup *s = arg;

	if (publish_workers(s->a->publish) == 0) {
		timer_set(s->a->loop, &s->gather, GATHER_MS);
		return;
	}
	log_warning(LOG_INIT, "start-up: only %u of %u workers are here, going on with them",
	    publish_workers(s->a->publish), s->a->settings->concurrency);
	publish_now(s);
}

static void
gather(struct startup *s)
{
	startup_enter(s, STARTUP_GATHERING);
	timer_set(s->a->loop, &s->gather, GATHER_MS);
	startup_on_workers(s);
}

void
startup_on_workers(struct startup *s)
{
	open_if_all(s);
	if (s->state == STARTUP_GATHERING &&
	    publish_workers(s->a->publish) >= s->a->settings->concurrency)
		publish_now(s);
}

/* ---- WARMING */

void
startup_on_warm(struct startup *s)
{
	if (s->state == STARTUP_WARMING && members_are_warm(&s->a->members))
		gather(s);
}

/* Clusters whose members or whose first checks are still missing get no requests. */
static void
warm(struct startup *s)
{
	startup_enter(s, STARTUP_WARMING);
	startup_on_warm(s);
}

/* ---- LISTENING */

static void
write_address_path(const struct admin *a, struct str bound)
{
	const char *path = a->settings->admin_address_path;
	int fd;

	if (path == NULL)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, bound.p, bound.n) != (ssize_t)bound.n)
		log_critical(LOG_ADMIN, "cannot open admin address output file %s for writing", path);
	if (fd >= 0)
		close(fd);
}

static void
listening_if_all(struct startup *s)
{
	struct store *store = &s->a->store;

	if (s->state != STARTUP_LISTENING)
		return;
	for (size_t i = 0; i < store->listeners.len; i++)
		if (store->listeners.at[i].on_port && !store->listeners.at[i].answered)
			return;
	/* While another generation has the admin port, its socket comes when we serve. */
	if (s->admin_key.n &&
	    !(s->admin_listened && (s->admin_has_fd || s->a->start->elder_generation)))
		return;
	if (s->again)
		done(s);
	else
		warm(s);
}

/* The admin port has its address and its socket, in whatever order they came. */
static void
open_web(struct startup *s)
{
	struct admin *a = s->a;
	struct err err = {""};

	if (!s->admin_listened || s->admin_fd < 0)
		return;
	if (a->web) /* asked again after the first one was closed: never in one life */
		web_free(&a->web);
	a->web = web_start(a, s->admin_fd, strb_str(&s->admin_bound), &err);
	s->admin_fd = -1;
	if (a->web == NULL) {
		log_error(LOG_ADMIN, "admin port: %s", err.text);
		return;
	}
	write_address_path(a, strb_str(&s->admin_bound));
	log_info(LOG_ADMIN, "admin address: %s", strb_z(&s->admin_bound));
}

static void
admin_listened(struct startup *s, bool ok, struct str text)
{
	struct err err = {""};

	s->admin_listened = true;
	if (ok) {
		strb_reset(&s->admin_bound);
		strb_adds(&s->admin_bound, text);
		open_web(s);
		return;
	}
	err_set(&err, "admin: cannot bind '%s': " STR_FMT, strb_z(&s->admin_key), STR_ARG(text));
	if (!s->again) {
		fail(s, err.text);
		return;
	}
	log_error(LOG_ADMIN, "%s", err.text);
	s->admin_has_fd = true; /* none will come */
}

void
startup_on_listened(struct startup *s, struct str key, bool ok, struct str text)
{
	struct store_listener *l = store_listener_by_key(&s->a->store, key);
	struct err err = {""};

	if (s->admin_key.n && str_eq(strb_str(&s->admin_key), key)) {
		admin_listened(s, ok, text);
	} else if (l && ok) {
		l->answered = true;
		l->bound = arena_str(&s->a->store.arena, text);
	} else if (l) {
		l->answered = true;
		err_set(&err, "error adding listener: '" STR_FMT "': cannot bind '" STR_FMT "': " STR_FMT,
		    STR_ARG(l->name), STR_ARG(l->address), STR_ARG(text));
		if (!s->again && s->state == STARTUP_LISTENING)
			fail(s, err.text);
		else
			log_error(LOG_CONFIG, "%s", err.text);
	}
	listening_if_all(s);
}

void
startup_on_admin_fd(struct startup *s, struct str key, int fd)
{
	if (fd < 0 || s->admin_key.n == 0 || !str_eq(strb_str(&s->admin_key), key)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (s->admin_fd >= 0)
		close(s->admin_fd);
	s->admin_fd = fd;
	s->admin_has_fd = true;
	open_web(s);
	listening_if_all(s);
}

static void
listen_all(struct startup *s)
{
	struct store *store = &s->a->store;

	startup_enter(s, STARTUP_LISTENING);
	if (s->admin_key.n == 0)
		log_warning(LOG_INIT, "no admin address given, so there is no admin port");
	for (size_t i = 0; i < store->listeners.len; i++)
		if (store->listeners.at[i].on_port)
			listen_ask(s->a, &store->listeners.at[i]);
	if (s->admin_key.n)
		listen_ask_admin_port(s->a, store->bootstrap, strb_str(&s->admin_key));
	listening_if_all(s);
}

/* ---- between LOADING and LISTENING: everything that can be refused without a socket */

static int
load_members(struct admin *a, struct err *err)
{
	if (members_load(&a->members, a->store.journal, a->start->journal_use, err) < 0)
		return -1;
	members_accept(&a->members, &a->store);
	return 0;
}

/* Without them the start waits for first answers, as any other. */
static void
inherit(struct admin *a)
{
	struct err err = {""};

	if (a->start->elder_journal_use > 0 && inherit_members(a, &err) < 0)
		log_warning(LOG_INIT, "members of the last generation: %s", err.text);
}

static int
prepare_parts(struct startup *s, struct err *err)
{
	struct admin *a = s->a;

	if (!s->again && health_try_logs(a->health, &a->store, err) < 0)
		return -1;
	a->members.keep_verdicts = s->again;
	if (!s->again && a->start->elder_generation)
		verdicts_inherit(a);
	if (members_prepare(&a->members, &a->store, err) < 0 ||
	    blocks_publish_listeners(a->segment, a->settings, &a->store, err) < 0)
		return -1;
	if (s->again && load_members(a, err) < 0)
		return -1;
	outliers_use_log(a->outliers, a->store.bootstrap);
	if (!s->again && a->start->elder_generation)
		inherit(a);
	a->members.keep_verdicts = false;
	members_count(&a->members);
	return files_open_logs(&a->files, &a->store, err);
}

static int
write_journal(struct startup *s, struct err *err)
{
	struct admin *a = s->a;
	struct message m;

	if (a->store.journal == NULL && (a->store.journal = journal_new(err)) == NULL)
		return -1;
	s->journal_before = journal_size(a->store.journal);
	if (store_write(&a->store, err) < 0)
		return -1;
	message_init(&m, MSG_JOURNAL);
	m.fd = journal_fd(a->store.journal);
	message_u(&m, 0); /* nothing is in force yet */
	admin_send(a, &m);
	return 0;
}

static void
prepare(struct startup *s)
{
	struct err err = {""};

	if (prepare_parts(s, &err) < 0 || write_journal(s, &err) < 0) {
		fail(s, err.text);
		return;
	}
	files_send(s->a, SEAT_ALL);
	listen_all(s);
}

/* ---- LOADING */

static int
load_from_source(struct startup *s, struct err *err)
{
	struct admin *a = s->a;
	struct conf *conf;

	if (load_and_tell(&conf, a->settings, err) < 0)
		return -1;
	store_take(&a->store, conf, loop_wall_ns(a->loop));
	if (store_listeners(&a->store, err) < 0 ||
	    listen_admin_key(&s->admin_key, a->store.bootstrap, err) < 0)
		return -1;
	return listen_check(&a->store, strb_str(&s->admin_key), err);
}

static void
begin_first(struct startup *s)
{
	struct err err = {""};

	if (load_from_source(s, &err) < 0) {
		fail(s, err.text);
		return;
	}
	if (stats_config_apply(s->a->store.bootstrap, &err) < 0) {
		fail(s, err.text);
		return;
	}
	block_filter_all(s->a->segment);
	set_state(SERVER_INITIALIZING);
	prepare(s);
}

/* What is in force is the journal; blocks, sockets and workers are there. */
static void
begin_again(struct startup *s)
{
	struct admin *a = s->a;
	struct err err = {""};

	s->again = true;
	if (store_read(&a->store, a->start->journal_use, shm_flags()->started_wall_ns, &err) < 0 ||
	    stats_config_apply(a->store.bootstrap, &err) < 0 ||
	    listen_admin_key(&s->admin_key, a->store.bootstrap, &err) < 0) {
		fail(s, err.text);
		return;
	}
	publish_set_used(a->publish, a->start->journal_use);
	reload_forget_prepared(a); /* the last admin may have ended on the way */
	if (prepare_parts(s, &err) < 0)
		log_error(LOG_CONFIG, "configuration in force: %s", err.text);
	files_send(a, SEAT_ALL);
	listen_all(s);
}

struct startup *
startup_begin(struct admin *a)
{
	struct startup *s = mem_new(struct startup);
	struct err err = {""};

	s->a = a;
	s->admin_fd = -1;
	s->turn = (struct turn){turn_begin, turn_done, s};
	timer_init(&s->gather, on_gather_late, s);
	a->startup = s;
	if (a->start->journal_fd >= 0) {
		a->store.journal = journal_adopt(a->start->journal_fd, a->start->journal_use, &err);
		if (a->store.journal == NULL) {
			s->again = a->start->journal_use > 0;
			fail(s, err.text);
			return s;
		}
	}
	if (a->store.journal && a->start->journal_use > 0)
		begin_again(s);
	else
		begin_first(s);
	return s;
}

void
startup_free(struct startup **sp)
{
	struct startup *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	timer_stop(&s->gather);
	if (s->admin_fd >= 0)
		close(s->admin_fd);
	strb_fini(&s->admin_key);
	strb_fini(&s->admin_bound);
	mem_free(s);
}
