/* Children come and go, and get their sockets. */
#include <sys/wait.h>

#include "lib/base/log.h"
#include "lib/event/loop.h"
#include "lib/ipc/listen.h"
#include "master/control.h"
#include "master/log_fds.h"
#include "master/master_private.h"
#include "master/sockets.h"
#include "shm/block.h"

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
	if (m->state == MASTER_ENDING && master_is_childless(m))
		loop_stop(m->loop);
}

const struct children_events master_children_events = {master_on_message, on_started, on_ended};

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

const struct sockets_events master_sockets_events = {give_socket, take_socket_back};
