#include "master/init.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/vec.h"
#include "master/children.h"
#include "master/launch.h"
#include "master/listen_fds.h"
#include "master/notify.h"
#include "master/options.h"

struct init {
	int signal_fd, notify_fd;
	int foreign_fd;	      /* pidfd of a master that serves and is no child of ours; -1 */
	struct notify outer;  /* whoever started process 1 */
	VEC(pid_t) masters;   /* that have spoken and live */
	pid_t serving;	      /* 0: nobody */
	pid_t starting;	      /* started by us, has not served yet; 0: none */
	bool served;	      /* somebody did, once */
	bool adopts;	      /* --disable-hot-restart: there is nothing to adopt */
	bool leaving;	      /* told to end */
	bool ending_rest;     /* no master is left to do it: we told the others */
	unsigned failures;    /* adopting starts in a row that came to nothing */
	uint64_t again_at_ms; /* when the next one is due; 0: none is */
	int status;
};

static const int forwarded[] = {
#define SIGNAL(signo, action, from, text) signo,
#include "master/signals.def"
#undef SIGNAL
};

static uint64_t
now_ms(void)
{
	return clock_mono_ns() / NS_PER_MS;
}

/* ---- who is who */

static void
note_master(struct init *in, pid_t pid)
{
	for (size_t i = 0; i < in->masters.len; i++)
		if (in->masters.at[i] == pid)
			return;
	*vec_push(&in->masters) = pid;
}

static void
forget_master(struct init *in, pid_t pid)
{
	for (size_t i = in->masters.len; i-- > 0;)
		if (in->masters.at[i] == pid)
			vec_remove(&in->masters, i);
}

static void
close_foreign(struct init *in)
{
	if (in->foreign_fd >= 0)
		close(in->foreign_fd);
	in->foreign_fd = -1;
}

/* A generation that an operator started beside us is nobody we can wait for. */
static void
now_serves(struct init *in, pid_t pid)
{
	siginfo_t info;

	if (pid <= 1 || kill(pid, 0) < 0)
		return;
	note_master(in, pid);
	in->served = true;
	in->failures = 0;
	in->again_at_ms = 0;
	if (pid == in->starting)
		in->starting = 0;
	if (pid == in->serving)
		return;
	if (in->foreign_fd >= 0)
		forget_master(in, in->serving);
	close_foreign(in);
	in->serving = pid;
	if (in->leaving) /* it came while another one was told */
		kill(pid, SIGTERM);
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		in->foreign_fd = (int)syscall(SYS_pidfd_open, pid, 0);
}

/* ---- what masters say */

/* Everything but the pid, which means nothing outside. */
static void
take_note(struct init *in, struct str text, pid_t from)
{
	struct strb rest = {0};
	struct str line, key;
	uint64_t pid;

	note_master(in, from);
	while (str_cut(&text, '\n', &line)) {
		struct str value = line;

		str_cut(&value, '=', &key);
		if (str_eqz(key, "MAINPID") && str_u64(value, &pid) && pid < INT32_MAX)
			now_serves(in, (pid_t)pid);
		else if (!str_eqz(key, "MAINPID"))
			strb_printf(&rest, STR_FMT "\n", STR_ARG(line));
	}
	notify_send(&in->outer, strb_str(&rest));
	strb_fini(&rest);
}

/* Workers are other users and are not believed. */
static void
hear(struct init *in)
{
	char text[4096], control[CMSG_SPACE(sizeof(struct ucred))];

	for (;;) {
		struct iovec iov = {text, sizeof(text)};
		struct msghdr msg = {.msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = control,
		    .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(in->notify_fd, &msg, 0);
		const struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
		struct ucred who;

		if (n < 0)
			return;
		if (c == NULL || c->cmsg_type != SCM_CREDENTIALS)
			continue;
		memcpy(&who, CMSG_DATA(c), sizeof(who));
		if (who.pid > 1 && (who.uid == 0 || who.uid == geteuid()))
			take_note(in, str_make(text, (size_t)n), who.pid);
	}
}

/* ---- starting the one that adopts */

static void
plan_start(struct init *in)
{
	uint32_t wait = backoff_ms(in->failures++);

	in->again_at_ms = now_ms() + wait + 1;
	log_warning(LOG_MASTER, "init: nobody serves, an adopting start follows in %u ms", wait);
}

static void
start_adopting(struct init *in)
{
	pid_t pid = fork();

	in->again_at_ms = 0;
	if (pid == 0) {
		launch_exec("auto");
		_exit(127);
	}
	if (pid < 0)
		plan_start(in);
	else
		in->starting = pid;
}

/* ---- the end of a process */

static bool
has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Orphans that nobody will adopt drain and end by themselves when told. */
static void
end_rest(struct init *in)
{
	in->again_at_ms = 0;
	if (in->ending_rest)
		return;
	in->ending_rest = true;
	kill(-1, SIGTERM);
}

static void
serving_ended(struct init *in, int status)
{
	in->serving = 0;
	close_foreign(in);
	if (WIFEXITED(status))
		return;
	log_warning(
	    LOG_MASTER, "init: the master that served was killed by signal %d", WTERMSIG(status));
	if (in->leaving)
		end_rest(in);
	else if (in->adopts && in->starting == 0)
		plan_start(in);
}

static void
start_failed(struct init *in)
{
	in->starting = 0;
	if (in->serving || !in->served)
		return;
	if (in->leaving)
		end_rest(in);
	else if (has_children())
		plan_start(in);
}

static void
ended(struct init *in, pid_t pid, int status)
{
	bool known = pid == in->serving || pid == in->starting;

	forget_master(in, pid);
	if (known)
		in->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (pid == in->serving)
		serving_ended(in, status);
	else if (pid == in->starting)
		start_failed(in);
}

/* What it said last is heard before its end is judged. */
static void
reap(struct init *in)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		hear(in);
		ended(in, pid, status);
	}
}

static bool
is_over(const struct init *in)
{
	if (in->serving || in->starting || in->again_at_ms)
		return false;
	return in->ending_rest ? !has_children() : in->masters.len == 0;
}

/* ---- signals */

/* The terminal's reach the others too, by the process group. */
static bool
is_for_us_alone(const struct signalfd_siginfo *s)
{
	return s->ssi_code <= 0;
}

/* True: end now. */
static bool
forward(struct init *in, int signo)
{
	pid_t to = in->serving ? in->serving : in->starting;
	bool end = signo == SIGTERM || signo == SIGINT || signo == SIGQUIT;

	if (end && in->ending_rest)
		return true;
	in->leaving |= end;
	log_info(LOG_MASTER, "init: signal %d goes to pid %d", signo, (int)to);
	if (to)
		kill(to, signo);
	if (end && in->starting && to != in->starting) /* a start beside it comes to nothing */
		kill(in->starting, signo);
	if (end && to == 0)
		end_rest(in);
	return false;
}

static bool
read_signals(struct init *in)
{
	struct signalfd_siginfo s;

	while (read(in->signal_fd, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo == SIGCHLD)
			reap(in);
		else if (is_for_us_alone(&s) && forward(in, (int)s.ssi_signo))
			return true;
	}
	return false;
}

/* ---- life */

static int
wait_ms(const struct init *in)
{
	uint64_t now = now_ms();

	if (in->again_at_ms == 0)
		return -1;
	return in->again_at_ms > now ? (int)(in->again_at_ms - now) : 0;
}

static void
run(struct init *in)
{
	while (!is_over(in)) {
		struct pollfd p[] = {{in->signal_fd, POLLIN, 0}, {in->notify_fd, POLLIN, 0},
		    {in->foreign_fd, POLLIN, 0}};

		poll(p, ARRAY_LEN(p), wait_ms(in));
		hear(in);
		if (in->foreign_fd >= 0 && p[2].fd == in->foreign_fd && p[2].revents)
			ended(in, in->serving, 0);
		if (read_signals(in))
			return;
		if (in->again_at_ms && now_ms() >= in->again_at_ms)
			start_adopting(in);
	}
}

/* An abstract name that the kernel chooses; it is what our children find in their environment. */
static int
open_notify(struct init *in)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t n = sizeof(un);
	char name[sizeof(un.sun_path) + 1];
	int on = 1;

	in->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (in->notify_fd < 0 ||
	    setsockopt(in->notify_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
	    bind(in->notify_fd, (struct sockaddr *)&un, sizeof(un.sun_family)) < 0 ||
	    getsockname(in->notify_fd, (struct sockaddr *)&un, &n) < 0)
		return -1;
	n -= (socklen_t)offsetof(struct sockaddr_un, sun_path);
	snprintf(name, sizeof(name), "@%.*s", (int)n - 1, un.sun_path + 1);
	return setenv("NOTIFY_SOCKET", name, 1);
}

static int
open_all(struct init *in)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, NULL); /* master reads the same ones */
	in->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	notify_open(&in->outer);
	return in->signal_fd < 0 ? -1 : open_notify(in);
}

static void
close_all(struct init *in)
{
	if (in->signal_fd >= 0)
		close(in->signal_fd);
	if (in->notify_fd >= 0)
		close(in->notify_fd);
	notify_close(&in->outer);
	close_foreign(in);
	vec_fini(&in->masters);
}

bool
init_is_wanted(const struct options *o)
{
	return getpid() == 1 && o->settings.mode == MODE_SERVE;
}

bool
init_run(const struct options *o, int *status)
{
	struct init in = {.signal_fd = -1,
	    .notify_fd = -1,
	    .foreign_fd = -1,
	    .adopts = !o->settings.hot_restart_disabled,
	    .status = 1};
	int listen_fds = listen_fds_given();

	if (open_all(&in) == 0)
		in.starting = fork();
	else
		in.starting = -1;
	if (in.starting == 0) {
		close_all(&in);
		notify_is_for_me();
		listen_fds_are_mine(listen_fds);
		return false;
	}
	if (in.starting < 0) {
		log_error(LOG_MASTER, "init: cannot start: %s", strerror(errno));
	} else {
		process_title("baton: init");
		listen_fds_close(listen_fds);
		run(&in);
	}
	*status = in.status;
	close_all(&in);
	return true;
}
