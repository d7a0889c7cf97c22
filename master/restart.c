#include "master/restart.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/ipc/control.h"
#include "lib/ipc/handover.h"
#include "master/control.h"
#include "master/launch.h"
#include "master/line.h"
#include "master/master_private.h"
#include "master/sockets.h"
#include "shm/block.h"

#define HELLO_MS 10000 /* from the start of the process to its hello */

/* ---- the end of a restart, however it came out */

static void
forget_process(struct restart *r)
{
	timer_stop(&r->patience);
	io_del(&r->io);
	if (r->pidfd >= 0)
		close(r->pidfd);
	r->pidfd = -1;
	r->pid = 0;
}

bool
master_is_changing(const struct master *m)
{
	return m->restart.running || m->reloading;
}

void
restart_next(struct master *m)
{
	if (master_is_changing(m))
		return;
	if (m->restart.again) { /* a reload goes with it, or follows it */
		m->restart.again = false;
		control_next_begins(m->control);
		master_hot_restart(m);
		return;
	}
	if (m->reload_wanted)
		master_reload(m);
	if (m->state == MASTER_SERVING && m->children.at[0].state == CHILD_READY)
		control_reload_now(m->control);
	else if (m->state != MASTER_SERVING)
		control_done(m->control, WAITS_TO_RELOAD, CONTROL_REFUSED,
		    STR("this generation is ending"));
}

void
restart_refused(struct master *m, struct str why)
{
	if (!m->restart.running)
		return;
	log_warning(LOG_MASTER, "hot restart: refused: " STR_FMT, STR_ARG(why));
	stat_inc(&m->stats->handovers_refused);
	if (m->state == MASTER_SERVING) { /* it may have died between taking the names and "drain" */
		master_take_names(m);
		sockets_reopen(m->sockets);
	}
	forget_process(&m->restart);
	m->restart.running = false;
	control_done(m->control, WAITS_FOR_RESTART, CONTROL_REFUSED, why);
	restart_next(m);
}

/* What was asked for meanwhile is for the one that serves now. */
static void
pass_on(struct master *m, struct link *l)
{
	control_pass_on(m->control, l);
	if (m->restart.again)
		link_say(l, HANDOVER_RESTART);
	if (m->reload_wanted)
		link_say(l, HANDOVER_RELOAD);
	m->restart.running = m->restart.again = m->reload_wanted = false;
}

void
restart_succeeded(struct master *m, struct link *l)
{
	char text[96];

	forget_process(&m->restart);
	snprintf(text, sizeof(text), "epoch %u serves, pid %d", (unsigned)l->epoch, (int)l->pid);
	control_done(m->control, WAITS_FOR_RESTART, CONTROL_OK, str_of(text));
	pass_on(m, l);
}

void
restart_rolled_back(struct master *m, struct link *serving, struct str why)
{
	struct restart *r = &m->restart;

	if (r->rolling_back) {
		timer_stop(&r->patience);
		r->rolling_back = NULL;
		r->running = false;
	}
	control_done(
	    m->control, WAITS_FOR_ROLLBACK, serving ? CONTROL_OK : CONTROL_REFUSED, why);
	if (serving)
		pass_on(m, serving);
	else
		restart_next(m);
}

/* ---- starting the successor */

static void
on_process_ended(void *arg, unsigned ready)
{
	struct restart *r = arg;
	struct master *m = r->master;

	forget_process(r);
	if (link_in(m, LINK_BUILDING) == NULL && link_in(m, LINK_STILL) == NULL)
		restart_refused(m, STR("the new process ended before it said hello, its log says why"));
}

static void
on_no_hello(void *arg)
{
	struct restart *r = arg;

	if (r->rolling_back) {
		restart_rolled_back(
		    r->master, NULL, STR("the previous generation did not answer"));
		return;
	}
	if (r->pid)
		kill(r->pid, SIGKILL);
	restart_refused(r->master, STR("the new process did not say hello in time"));
}

static void
launch(struct master *m)
{
	struct restart *r = &m->restart;
	struct err err = {""};
	pid_t pid;

	r->running = true;
	pid = launch_successor(m->settings->restart_epoch + 1, &err);
	if (pid < 0) {
		restart_refused(m, str_of(err.text));
		return;
	}
	r->pid = pid;
	r->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (r->pidfd >= 0)
		io_add_level(m->loop, &r->io, r->pidfd, IO_READ, on_process_ended, r);
	timer_set(m->loop, &r->patience, HELLO_MS);
	log_info(LOG_MASTER, "hot restart: started pid %d for epoch %u", (int)pid,
	    m->settings->restart_epoch + 1);
}

bool
restart_too_many(const struct master *m, struct err *err)
{
	const struct link *oldest = NULL;
	unsigned n = line_draining(m, &oldest);

	if (n < m->settings->max_draining)
		return false;
	if (oldest && oldest->line.n)
		err_set(err, "%u draining already (--max-draining %u); the oldest: " STR_FMT, n,
		    m->settings->max_draining, STR_ARG(strb_str(&oldest->line)));
	else
		err_set(err, "%u draining already (--max-draining %u)", n,
		    m->settings->max_draining);
	return true;
}

void
master_hot_restart(struct master *m)
{
	struct err err = {""};
	char why[96];

	if (master_is_changing(m)) {
		log_info(LOG_MASTER, "hot restart: %s is under way, the next follows it",
		    m->restart.running ? "one" : "a reload");
		m->restart.again = true;
		return;
	}
	m->restart.running = true;
	if (m->state != MASTER_SERVING) {
		snprintf(why, sizeof(why), "this baton is %s", master_state_name(m));
		restart_refused(m, str_of(why));
	} else if (!m->has_dir) {
		restart_refused(m, STR("--disable-hot-restart is given"));
	} else if (restart_too_many(m, &err)) {
		restart_refused(m, str_of(err.text));
	} else {
		launch(m);
	}
}

/* ---- life */

void
restart_init(struct restart *r, struct master *m)
{
	*r = (struct restart){.master = m, .pidfd = -1};
	timer_init(&r->patience, on_no_hello, r);
}

void
restart_fini(struct restart *r)
{
	forget_process(r);
}
