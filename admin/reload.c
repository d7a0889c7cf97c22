#include "admin/reload.h"

#include "admin/admin.h"
#include "admin/blocks.h"
#include "admin/config/diff.h"
#include "admin/config/load.h"
#include "admin/discovery/announce.h"
#include "admin/health/health.h"
#include "admin/health/outlier.h"
#include "admin/listen.h"
#include "admin/startup.h"
#include "admin/stats_config.h"
#include "admin/xds/xds.h"
#include "lib/base/json_out.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/state.h"
#include "lib/ipc/control.h"
#include "lib/ipc/journal.h"

#define RELOAD_STATES(STATE)                                                                       \
	STATE(RELOAD_IDLE, "idle", TO(RELOAD_LOADING))                                             \
	STATE(RELOAD_LOADING, "loading", TO(RELOAD_LISTENING) | TO(RELOAD_IDLE))                   \
	STATE(RELOAD_LISTENING, "listening", TO(RELOAD_WARMING) | TO(RELOAD_IDLE))                 \
	STATE(RELOAD_WARMING, "warming", TO(RELOAD_PUBLISHING) | TO(RELOAD_IDLE))                  \
	STATE(RELOAD_PUBLISHING, "publishing", TO(RELOAD_IDLE))
enum reload_state { RELOAD_STATES(STATE_ENUM) };
STATE_TABLE(reload, RELOAD_STATES)

struct reload_asker {
	uint64_t id; /* 0: nobody waits, it was a signal */
	bool json;
};

struct reload {
	struct admin *a;
	enum reload_state state;
	struct work loading;
	VEC(struct reload_asker) now;	/* answered at the end of this one */
	VEC(struct reload_asker) later; /* of the next */
	struct strb cannot_listen; /* the first reason */
	struct store next;	   /* becomes the store in force, or nothing */
	bool read;                 /* next is complete */
	struct files files;
	struct diff diff;
	struct turn turn; /* at the barrier */
	uint64_t journal_before;
	bool written; /* to the journal */
};

static void
reload_enter(struct reload *r, enum reload_state next)
{
	STATE_CHECK(reload, r->state, next);
	log_debug(
	    LOG_CONFIG, "reload: %s -> %s", reload_state_names[r->state], reload_state_names[next]);
	r->state = next;
}

/* ---- answers */

static void
answer(struct admin *a, const struct reload_asker *to, unsigned status, struct str text)
{
	struct strb body = {0};
	struct json_out j;
	struct message m;

	if (to->id == 0)
		return;
	if (to->json) {
		json_out_init(&j, &body, false);
		json_object(&j);
		json_keyz(&j, "status");
		json_stringz(&j, status == CONTROL_OK ? "ok" : "refused");
		json_keyz(&j, "text");
		json_string(&j, text);
		json_end(&j);
	} else {
		strb_adds(&body, text);
	}
	strb_addc(&body, '\n');
	message_init(&m, MSG_CONTROL_DONE);
	message_u(&m, to->id);
	message_u(&m, status);
	message_s(&m, strb_str(&body));
	admin_send(a, &m);
	strb_fini(&body);
}

/* ---- the end of one */

static void begin_if_asked(void *arg);

static void
forget(struct reload *r)
{
	turns_leave(&r->a->turns, &r->turn);
	xds_settle(r->a->xds);
	members_drop(&r->a->members);
	files_fini(&r->files);
	diff_fini(&r->diff);
	store_fini(&r->next);
	store_init(&r->next);
	strb_reset(&r->cannot_listen);
	r->written = r->read = false;
}

static void
end(struct reload *r, unsigned status, struct str text)
{
	struct message m;

	if (r->state != RELOAD_IDLE)
		reload_enter(r, RELOAD_IDLE);
	message_init(&m, MSG_RELOAD_ENDED);
	message_u(&m, status);
	message_s(&m, status == CONTROL_OK ? STR("") : text);
	admin_send(r->a, &m);
	for (size_t i = 0; i < r->now.len; i++)
		answer(r->a, &r->now.at[i], status, text);
	r->now.len = 0;
	forget(r); /* text may have been ours */
	if (r->later.len && !r->a->ending)
		loop_defer(r->a->loop, begin_if_asked, r);
}

static bool
is_open(struct reload *r, struct str key)
{
	const struct store_listener *l = store_listener_by_key(&r->a->store, key);

	return l && l->on_port;
}

/* Addresses that were opened for this reload and nothing before it. */
static void
give_back_sockets(struct reload *r)
{
	for (size_t i = 0; i < r->next.listeners.len; i++) {
		const struct store_listener *l = &r->next.listeners.at[i];

		if (l->on_port && !is_open(r, l->key))
			listen_give_up(r->a, l->key);
	}
}

void
reload_forget_prepared(struct admin *a)
{
	struct message m;

	message_init(&m, MSG_FORGET);
	m.seat = SEAT_ALL;
	admin_send(a, &m);
}

static void
refuse(struct reload *r, const char *why)
{
	log_error(LOG_CONFIG, "reload: refused, the configuration in force stays: %s", why);
	stat_inc(&r->a->stats.runtime->load_error);
	if (r->state >= RELOAD_LISTENING)
		give_back_sockets(r);
	if (r->written) {
		journal_rewind(r->a->store.journal, r->journal_before);
		members_written(&r->a->members, false);
		reload_forget_prepared(r->a);
	}
	end(r, CONTROL_REFUSED, str_of(why));
}

/* ---- PUBLISHING */

static void
keep_bound_addresses(struct reload *r)
{
	for (size_t i = 0; i < r->next.listeners.len; i++) {
		struct store_listener *l = &r->next.listeners.at[i];
		const struct store_listener *old = store_listener_by_key(&r->a->store, l->key);

		if (old && old->on_port)
			l->bound = arena_str(&r->next.arena, old->bound);
	}
}

void
reload_before_use(struct reload *r)
{
	if (r->state != RELOAD_PUBLISHING)
		return;
	xds_settle(r->a->xds);
	members_accept(&r->a->members, &r->next); /* a host configured as failed gets no request */
}

static void
count_changes(struct reload *r)
{
	const struct diff *d = &r->diff;
	struct listener_manager_stats *l = r->a->stats.listener_manager;
	struct cluster_manager_stats *c = r->a->stats.cluster_manager;
	const unsigned *n = d->count[RESOURCE_LISTENER];

	stat_add(&l->listener_added, n[DIFF_ADDED]);
	stat_add(&l->listener_modified, n[DIFF_CHANGED]);
	stat_add(&l->listener_removed, n[DIFF_REMOVED]);
	stat_add(&l->listener_create_success,
	    (n[DIFF_ADDED] + n[DIFF_CHANGED]) * publish_workers(r->a->publish));
	n = d->count[RESOURCE_CLUSTER];
	stat_add(&c->cluster_added, n[DIFF_ADDED]);
	stat_add(&c->cluster_modified, n[DIFF_CHANGED]);
	stat_add(&c->cluster_removed, n[DIFF_REMOVED]);
	stat_add(&c->cluster_updated, n[DIFF_ADDED] + n[DIFF_CHANGED]);
	stat_inc(&r->a->stats.runtime->load_success);
}

/* Workers emptied the queues of what is gone, or will before they close their own descriptors. */
static void
give_up_removed(struct reload *r)
{
	struct admin *a = r->a;

	for (size_t i = 0; i < a->store.listeners.len; i++) {
		const struct store_listener *l = &a->store.listeners.at[i];
		const struct store_listener *kept = store_listener_by_key(&r->next, l->key);

		if (l->on_port && !(kept && kept->on_port)) {
			stats_note_leaving(a, l->prefix);
			listen_give_up(a, l->key);
		}
	}
}

static void
take_over(struct reload *r)
{
	struct admin *a = r->a;
	struct err err = {""};

	give_up_removed(r);
	files_commit(a, &r->files);
	keep_bound_addresses(r);
	admin_store_replace(a, &r->next);
	outliers_use_log(a->outliers, a->store.bootstrap);
	xds_reloaded(a->xds);
	if (stats_config_apply(a->store.bootstrap, &err) < 0) /* it compiled before */
		log_error(LOG_CONFIG, "%s", err.text);
	count_changes(r);
	stats_update(a);
}

static void
accepted(struct reload *r)
{
	struct strb text = {0};

	diff_text(&r->diff, &text);
	members_written(&r->a->members, true);
	take_over(r);
	log_info(LOG_CONFIG, "reload: in force, %s, workers=%u", strb_z(&text),
	    publish_workers(r->a->publish));
	end(r, CONTROL_OK, strb_str(&text));
	strb_fini(&text);
}

static void
turn_done(void *arg, const char *refused)
{
	struct reload *r = arg;

	if (refused)
		refuse(r, refused);
	else
		accepted(r);
}

static int
write_next(struct reload *r, struct err *err)
{
	struct admin *a = r->a;

	if (announce_compact(a, err) < 0)
		return -1;
	r->journal_before = journal_size(a->store.journal);
	r->written = true;
	if (diff_write(&r->diff, a->store.journal, err) < 0)
		return -1;
	return members_write(&a->members, a->store.journal, &r->next, err);
}

static void
turn_begin(void *arg)
{
	struct reload *r = arg;
	struct admin *a = r->a;
	struct err err = {""};

	if (write_next(r, &err) < 0) {
		turns_pass(&a->turns);
		refuse(r, err.text);
		return;
	}
	reload_enter(r, RELOAD_PUBLISHING);
	publish_start(a->publish, journal_size(a->store.journal));
}

/* ---- WARMING: clusters that are new have members and first checks before anybody uses them */

void
reload_on_warm(struct reload *r)
{
	if (r->state == RELOAD_WARMING && !turns_has(&r->a->turns, &r->turn) &&
	    members_are_warm(&r->a->members))
		turns_ask(&r->a->turns, &r->turn);
}

static void
warm(struct reload *r)
{
	reload_enter(r, RELOAD_WARMING);
	reload_on_warm(r);
}

/* ---- LISTENING */

static void
go_on_if_all_answered(struct reload *r)
{
	for (size_t i = 0; i < r->next.listeners.len; i++)
		if (r->next.listeners.at[i].on_port && !r->next.listeners.at[i].answered)
			return;
	if (r->cannot_listen.n)
		refuse(r, strb_z(&r->cannot_listen));
	else
		warm(r);
}

static void
listen_all(struct reload *r)
{
	reload_enter(r, RELOAD_LISTENING);
	for (size_t i = 0; i < r->next.listeners.len; i++) {
		struct store_listener *l = &r->next.listeners.at[i];

		if (l->on_port && is_open(r, l->key))
			l->answered = true;
		else if (l->on_port)
			listen_ask(r->a, l);
	}
	go_on_if_all_answered(r);
}

bool
reload_on_listened(struct reload *r, struct str key, bool ok, struct str text)
{
	struct store_listener *l = store_listener_by_key(&r->next, key);

	if (r->state != RELOAD_LISTENING || l == NULL || l->answered)
		return false;
	l->answered = true;
	if (ok)
		l->bound = arena_str(&r->next.arena, text);
	else if (r->cannot_listen.n == 0)
		strb_printf(&r->cannot_listen,
		    "error adding listener: '" STR_FMT "': cannot bind '" STR_FMT "': " STR_FMT,
		    STR_ARG(l->name), STR_ARG(l->address), STR_ARG(text));
	go_on_if_all_answered(r);
	return true;
}

/* ---- what can be refused without a socket */

static int
prepare_parts(struct reload *r, struct err *err)
{
	struct admin *a = r->a;

	if (files_prepare(&r->files, &a->files, &r->next, err) < 0 ||
	    health_try_logs(a->health, &r->next, err) < 0)
		return -1;
	return blocks_publish_listeners(a->segment, a->settings, &r->next, err);
}

static void
compare(struct reload *r)
{
	const struct members *m = &r->a->members;

	diff_make(&r->diff, &r->a->store, &r->next);
	for (size_t i = 0; i < m->plans.len; i++)
		diff_add_members(&r->diff, &r->next, m->plans.at[i].cluster->name);
}

static void
prepare(struct reload *r)
{
	struct err err = {""};

	if (members_prepare(&r->a->members, &r->next, &err) < 0) {
		refuse(r, err.text);
		return;
	}
	compare(r);
	if (r->diff.rows.len == 0) {
		log_info(LOG_CONFIG, "reload: nothing changed");
		end(r, CONTROL_OK, STR("nothing changed"));
		return;
	}
	if (prepare_parts(r, &err) < 0) {
		refuse(r, err.text);
		return;
	}
	files_send_new(r->a, &r->files);
	listen_all(r);
}

struct store *
reload_next(struct reload *r)
{
	return r->read ? &r->next : NULL;
}

/* ---- the beginning */

static int
check_next(struct reload *r, struct err *err)
{
	const char *field = diff_needs_restart(&r->a->store, &r->next);
	struct strb admin_key = {0};
	int bad;

	if (field)
		return err_set(err, "%s: changed, and that needs a hot restart", field);
	if (store_listeners(&r->next, err) < 0)
		return -1;
	bad = listen_admin_key(&admin_key, r->next.bootstrap, err);
	if (bad == 0)
		bad = listen_check(&r->next, strb_str(&admin_key), err);
	strb_fini(&admin_key);
	return bad;
}

static int
load_next(struct reload *r, struct err *err)
{
	struct conf *conf;

	if (load_and_tell(&conf, r->a->settings, err) < 0)
		return -1;
	store_take(&r->next, conf, loop_wall_ns(r->a->loop));
	r->read = true;
	return check_next(r, err);
}

/* A task: what happens while it breathes is none of its business, but the end of the process. */
static void
load(void *arg)
{
	struct reload *r = arg;
	struct err err = {""};
	int bad = load_next(r, &err);

	if (r->a->ending)
		return;
	if (bad < 0)
		refuse(r, err.text);
	else
		prepare(r);
}

static void
begin(struct reload *r)
{
	struct message m;

	log_info(LOG_CONFIG, "reload: begins");
	message_init(&m, MSG_RELOAD_BEGUN);
	admin_send(r->a, &m);
	for (size_t i = 0; i < r->later.len; i++)
		*vec_push(&r->now) = r->later.at[i];
	r->later.len = 0;
	if (r->a->draining) {
		refuse(r, "this generation drains");
		return;
	}
	reload_enter(r, RELOAD_LOADING);
	work_start(&r->a->works, &r->loading, load, r);
}

static void
begin_if_asked(void *arg)
{
	struct reload *r = arg;

	if (r->state == RELOAD_IDLE && r->later.len && r->a->serving && !r->a->ending)
		begin(r);
}

void
reload_may_begin(struct reload *r)
{
	begin_if_asked(r);
}

void
reload_ask(struct reload *r, uint64_t id, bool json)
{
	*vec_push(&r->later) = (struct reload_asker){id, json};
	begin_if_asked(r);
}

struct reload *
reload_new(struct admin *a)
{
	struct reload *r = mem_new(struct reload);

	r->a = a;
	r->turn = (struct turn){turn_begin, turn_done, r};
	store_init(&r->next);
	files_init(&r->files);
	return r;
}

void
reload_free(struct reload **rp)
{
	struct reload *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	work_finish(&r->loading);
	forget(r);
	vec_fini(&r->now);
	vec_fini(&r->later);
	strb_fini(&r->cannot_listen);
	mem_free(r);
}
