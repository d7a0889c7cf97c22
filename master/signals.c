#include "master/signals.h"

#include <signal.h>
#include <stdbool.h>

#include "lib/base/assert.h"
#include "lib/base/log.h"
#include "lib/event/signal.h"
#include "master/master_private.h"

static void
graceful_stop(struct master *m)
{
	master_drain(m);
}

static void
stop_now(struct master *m)
{
	master_end(m, 0);
}

static void
reload(struct master *m)
{
	master_reload(m);
}

static void
reopen_logs(struct master *m)
{
	child_tell(&m->children.at[0], MSG_REOPEN_LOGS);
}

static void
fail_health(struct master *m)
{
	master_set_health(m, true, "SIGTTOU");
}

static void
pass_health(struct master *m)
{
	master_set_health(m, false, "SIGTTIN");
}

static void
reap(struct master *m)
{
	children_reap(&m->children);
}

#define FROM_ANYBODY false
#define FROM_PROCESS true

static const struct {
	int signo;
	void (*act)(struct master *m);
	bool from_process;
} actions[] = {
#define SIGNAL(signo, action, from, text) {signo, action, FROM_##from},
#include "master/signals.def"
#undef SIGNAL
};

static void
on_signal(void *arg, const struct signalfd_siginfo *info)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (actions[i].signo != (int)info->ssi_signo)
			continue;
		if (actions[i].from_process && info->ssi_code != SI_USER && info->ssi_code != SI_QUEUE)
			return;
		if (info->ssi_signo != SIGCHLD)
			log_info(LOG_MASTER, "signal: %u from pid %u", info->ssi_signo, info->ssi_pid);
		actions[i].act(arg);
		return;
	}
}

static const struct signal_row rows[] = {
#define SIGNAL(signo, action, from, text) {signo, on_signal},
#include "master/signals.def"
#undef SIGNAL
};

struct signals *
master_signals(struct loop *l, struct master *m)
{
	signal(SIGPIPE, SIG_IGN);
	return signals_open(l, rows, ARRAY_LEN(rows), m);
}
