/*
 * What master does with each message of its children: a function per
 * message, and one rule for all that it only passes on.
 */
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/ipc/journal.h"
#include "master/adopt.h"
#include "master/control.h"
#include "master/log_fds.h"
#include "master/master_private.h"
#include "master/predecessor.h"
#include "master/sockets.h"
#include "master/successor.h"

static void
on_listen(struct master *m, struct child *c, struct message_view *v)
{
	struct listen_request q = {.key = message_get_s(v)};
	struct strb bound = {0};
	struct message answer;
	struct err err = {""};
	int bad;

	q.flags = message_get_u(v);
	q.backlog = message_get_u(v);
	q.mode = message_get_u(v);
	bad = master_serves(m) ?
	    sockets_listen(m->sockets, &q, &bound, &err) :
	    err_set(&err, "nothing is bound in this mode");
	message_init(&answer, MSG_LISTENED);
	message_s(&answer, q.key);
	message_u(&answer, bad == 0);
	message_s(&answer, bad ? str_of(err.text) : strb_str(&bound));
	child_send(c, &answer);
	if (bad == 0)
		sockets_give_admin(m->sockets, q.key);
	strb_fini(&bound);
}

static void
on_unlisten(struct master *m, struct child *c, struct message_view *v)
{
	struct str key = message_get_s(v);

	successor_removed(m, key);
	adopted_removed(m, key);
	sockets_unlisten(m->sockets, key);
}

/* Workers get a descriptor that cannot write. */
static void
share_journal(struct master *m)
{
	int fd = journal_reader_fd(m->children.gifts.journal_fd);

	if (fd < 0) {
		log_error(LOG_MASTER, "journal: no descriptor to give to workers");
		return;
	}
	for (unsigned i = 1; i <= m->children.n; i++) {
		struct message out;

		message_init(&out, MSG_JOURNAL_FD);
		message_u(&out, m->children.gifts.journal_use);
		out.fd = fd;
		child_send(&m->children.at[i], &out);
	}
	close(fd);
}

static void
on_journal(struct master *m, struct child *c, struct message_view *v)
{
	uint64_t use = message_get_u(v);
	int fd = message_take_fd(v);

	if (fd < 0)
		return;
	if (m->children.gifts.journal_fd >= 0)
		close(m->children.gifts.journal_fd);
	m->children.gifts.journal_fd = fd;
	m->children.gifts.journal_use = use;
	share_journal(m);
}

static void
on_serving(struct master *m, struct child *c, struct message_view *v)
{
	child_became_ready(c);
	m->admin_serves = true;
	successor_forget_journal(m);
	if (m->state == MASTER_SERVING)
		sockets_drop_unasked(m->sockets);
	sockets_drop_handed(m->sockets);
	if (master_serves(m))
		successor_look(m);
	if (m->state == MASTER_SERVING)
		restart_next(m);
}

static void
on_failed(struct master *m, struct child *c, struct message_view *v)
{
	int status = (int)message_get_u(v);

	if (m->state == MASTER_STARTING)
		successor_failed(m, message_get_s(v));
	/* A later admin that cannot start is a crash of its own: traffic goes on. */
	if (!m->admin_serves)
		master_end(m, status ? status : 1);
}

static void
on_worker_ready(struct master *m, struct child *c, struct message_view *v)
{
	struct message all;

	if (c->state != CHILD_STARTING)
		return;
	child_became_ready(c);
	sockets_worker_came(m->sockets, c->index);
	message_init(&all, MSG_LISTEN_ALL);
	child_send(c, &all);
	successor_worker_came(m, c);
	successor_look(m);
}

static void
on_app_log_fd(struct master *m, struct child *c, struct message_view *v)
{
	int fd = message_take_fd(v);

	if (fd < 0)
		return;
	log_set_fd(fd);
	if (m->log_fd >= 0)
		close(m->log_fd);
	m->log_fd = fd;
}

static void
on_log_gone(struct master *m, struct child *c, struct message_view *v)
{
	log_fds_forget(m->log_fds, message_get_s(v));
}

static void
on_log_level(struct master *m, struct child *c, struct message_view *v)
{
	struct str name = message_get_s(v);
	uint64_t level = message_get_u(v);
	enum log_component component;

	if (level > LOG_OFF)
		return;
	if (name.n == 0)
		log_set_all((enum log_level)level);
	else if (log_component_parse(name, &component))
		log_set(component, (enum log_level)level);
}

static void
on_control_done(struct master *m, struct child *c, struct message_view *v)
{
	struct message_view copy = *v;

	if (m->control)
		control_on_done(m->control, v);
	if (message_get_u(&copy) & RELOAD_ID)
		master_reload_done(m);
}

static void
on_reload_begun(struct master *m, struct child *c, struct message_view *v)
{
	supervisor_reload_begun(m);
}

static void
on_reload_ended(struct master *m, struct child *c, struct message_view *v)
{
	uint64_t status = message_get_u(v);

	supervisor_reload_ended(m, status == 0, message_get_s(v));
}

/* What is held at the beginning is told at once: a restart is just done, and somebody looks. */
static void
on_holding(struct master *m, struct child *c, struct message_view *v)
{
	uint64_t before = 0, now = 0;
	struct str who;

	for (unsigned k = 0; k < DRAIN_KINDS; k++) {
		before += c->holding[k];
		c->holding[k] = message_get_u(v);
		now += c->holding[k];
	}
	who = message_get_s(v);
	mem_free(c->who);
	c->who = who.n ? mem_strndup(who.p, who.n) : NULL;
	if (before == 0 && now)
		predecessor_report(m);
}

static void
on_quit(struct master *m, struct child *c, struct message_view *v)
{
	log_info(LOG_MASTER, "asked to end by the admin port");
	master_end(m, 0);
}

typedef void message_handler(struct master *m, struct child *c, struct message_view *v);

static message_handler *const handlers[MESSAGE_TYPES] = {
    [MSG_LISTEN] = on_listen,
    [MSG_UNLISTEN] = on_unlisten,
    [MSG_JOURNAL] = on_journal,
    [MSG_SERVING] = on_serving,
    [MSG_FAILED] = on_failed,
    [MSG_WORKER_READY] = on_worker_ready,
    [MSG_LOG_GONE] = on_log_gone,
    [MSG_APP_LOG_MASTER_FD] = on_app_log_fd,
    [MSG_LOG_LEVEL_MASTER] = on_log_level,
    [MSG_CONTROL_DONE] = on_control_done,
    [MSG_RELOAD_BEGUN] = on_reload_begun,
    [MSG_RELOAD_ENDED] = on_reload_ended,
    [MSG_HOLDING] = on_holding,
    [MSG_QUIT] = on_quit,
};

/* Between admin and workers master is the postman; of USE it remembers what is in force, of LOG_FD
 * the descriptor: a worker that starts while admin is away needs both. */
static void
pass_on(struct master *m, struct message_view *v)
{
	struct message_view copy = *v;

	if (v->type == MSG_USE)
		m->children.gifts.journal_use = message_get_u(&copy);
	if (v->type == MSG_LOG_FD && v->fd && *v->fd >= 0)
		log_fds_note(m->log_fds, message_get_s(&copy), *v->fd);
	if (message_to(v->type) == ROLE_ADMIN) {
		if (m->children.at[0].channel)
			channel_pass(m->children.at[0].channel, v);
		return;
	}
	for (unsigned i = 1; i <= m->children.n; i++) {
		struct child *c = &m->children.at[i];

		if (c->channel && (v->to == SEAT_ALL || v->to == c->seat))
			channel_pass(c->channel, v);
	}
}

void
master_on_message(void *arg, struct child *c, struct message_view *v)
{
	struct master *m = arg;

	if (message_to(v->type) != ROLE_MASTER)
		pass_on(m, v);
	else if (handlers[v->type])
		handlers[v->type](m, c, v);
}
