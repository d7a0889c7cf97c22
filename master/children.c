#include "master/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/base/state.h"
#include "lib/event/loop.h"
#include "lib/event/signal.h"
#include "lib/ipc/journal.h"
#include "master/notify.h"
#include "shm/lane.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 10000
#define LIVED_LONG_NS (10 * NS_PER_S) /* a crash after this is a new story */
#define EXIT_NOT_BORN 125             /* a child that could not be set up */

STATE_TABLE(child, CHILD_STATES)

/* Signals of the terminal's process group or the control group are master's business. */
static const int ignored[] = {
    SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTTOU, SIGTTIN, SIGTSTP, SIGTERM, SIGPIPE};

const char *
child_state_name(const struct child *c)
{
	return child_state_names[c->state];
}

const char *
child_name(const struct child *c, char *out)
{
	if (c->role == ROLE_ADMIN)
		snprintf(out, 24, "admin");
	else
		snprintf(out, 24, "worker %u", c->index);
	return out;
}

static void
child_enter(struct child *c, enum child_state next)
{
	STATE_CHECK(child, c->state, next);
	timer_stop(&c->respawn);
	c->state = next;
	if (next == CHILD_STARTING) {
		watch_reset(&c->watch);
		c->expected = c->resumed = c->told_hung = false;
		memset(c->holding, 0, sizeof(c->holding));
		MEM_CLEAR(c->who);
		c->started_ns = loop_now_ns(c->all->loop);
	} else if (next == CHILD_WAITING) {
		timer_set(c->all->loop, &c->respawn, c->backoff_ms);
	}
}

uint32_t
backoff_ms(unsigned failures)
{
	if (failures == 0)
		return 0;
	if (failures > 7)
		return BACKOFF_MOST_MS;
	return (uint32_t)BACKOFF_FIRST_MS << (failures - 1);
}

/* ---- in the child */

static int
by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Only what is named here, standard input, output and error, and the log are the child's. */
static void
close_all_but(const int *named, size_t n)
{
	int keep[8] = {0, 1, 2, log_fd()};
	size_t kept = 4;
	unsigned from = 0;

	for (size_t i = 0; i < n; i++)
		if (named[i] >= 0)
			keep[kept++] = named[i];
	qsort(keep, kept, sizeof(keep[0]), by_number);
	for (size_t i = 0; i < kept; i++) {
		if ((unsigned)keep[i] > from)
			syscall(SYS_close_range, from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	syscall(SYS_close_range, from, ~0u, 0);
}

static void
set_title(const struct child *c)
{
	char name[24];

	process_title("baton: %s", child_name(c, name));
}

/* First of all, so that nothing is counted in master's lane. */
static int
take_seat(const struct child *c, struct err *err)
{
	struct segment *seg = c->all->segment;

	if (seg == NULL)
		return 0;
	return lane_take(seg, c->seat, c->role == ROLE_ADMIN ? SEAT_ADMIN : SEAT_WORKER, c->index, err);
}

#ifdef PROFILE_GENERATE
void __gcov_dump(void);
#endif

/* Without what atexit() holds: that is master's. */
_Noreturn static void
end_child(int status)
{
#ifdef PROFILE_GENERATE
	__gcov_dump(); /* what `make pgo` learns from */
#endif
	_exit(status);
}

_Noreturn static void
run_child(struct child *c, int channel_fd)
{
	struct children *all = c->all;
	const struct process *p = c->role == ROLE_ADMIN ? all->admin_process : all->worker_process;
	struct process_start start = {.settings = all->settings,
	    .role = c->role,
	    .seat = c->seat,
	    .index = c->index,
	    .epoch = all->settings->restart_epoch,
	    .channel_fd = channel_fd,
	    .segment_fd = all->gifts.segment_fd,
	    .journal_fd = all->gifts.journal_fd,
	    .journal_use = all->gifts.journal_use,
	    .elder_journal_fd = c->role == ROLE_ADMIN ? all->gifts.elder_journal_fd : -1,
	    .elder_journal_use = all->gifts.elder_journal_use,
	    .control_fd = all->gifts.control_fd,
	    .elder_generation = all->gifts.elder_generation};
	struct err err = {""};

	if (c->role == ROLE_WORKER && start.journal_fd >= 0)
		start.journal_fd = journal_reader_fd(start.journal_fd);
	close_all_but((int[]){start.channel_fd, start.segment_fd, start.journal_fd,
	                  start.elder_journal_fd, start.control_fd},
	    5);
	signals_reset(ignored, ARRAY_LEN(ignored));
	notify_not_for_children();
	rand_init();
	set_title(c);
	if (take_seat(c, &err) < 0 || privileges_drop(c->role, &all->identity, &err) < 0) {
		log_error(LOG_MASTER, "%s: %s", p->name, err.text);
		_exit(EXIT_NOT_BORN);
	}
	end_child(p->run(&start));
}

/* ---- starting */

static void
on_message(void *arg, struct message_view *v)
{
	struct child *c = arg;

	/* Who speaks is known by the channel, not by what is said. */
	v->seat = c->seat;
	if (message_from(v->type) != c->role) {
		log_warning(LOG_MASTER, "%s is not seat %u's to send", message_name(v->type), c->seat);
		return;
	}
	c->all->events->on_message(c->all->arg, c, v);
}

static void
on_closed(void *arg)
{
	struct child *c = arg;

	log_debug(LOG_MASTER, "channel of seat %u has ended", c->seat); /* SIGCHLD says the rest */
}

static const struct channel_events channel_events = {on_message, on_closed};

static int
fork_child(struct child *c, struct err *err)
{
	struct children *all = c->all;
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return err_sys(err, "socketpair");
	c->seat = SEAT_OF_ADMIN + c->index; /* its own for good: a successor counts on */
	pid = fork();
	if (pid < 0) {
		err_sys(err, "fork");
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (pid == 0)
		run_child(c, fds[1]);
	close(fds[1]);
	c->pid = pid;
	c->channel = channel_new(all->loop, fds[0], SEAT_OF_MASTER, &channel_events, c);
	return 0;
}

static void
plan(struct child *c)
{
	c->backoff_ms = backoff_ms(c->failures++);
	if (c->backoff_ms == 0)
		child_start(c);
	else
		child_enter(c, CHILD_WAITING);
}

void
child_start(struct child *c)
{
	struct err err;
	char name[24];

	if (fork_child(c, &err) < 0) {
		log_error(LOG_MASTER, "%s: cannot be started: %s", child_name(c, name), err.text);
		if (c->failures == 0)
			c->failures = 1;
		if (c->state == CHILD_WAITING)
			child_enter(c, CHILD_ABSENT);
		plan(c);
		return;
	}
	child_enter(c, CHILD_STARTING);
	c->backoff_ms = 0;
	c->all->events->on_started(c->all->arg, c);
}

static void
on_respawn(void *arg)
{
	child_start(arg);
}

void
child_became_ready(struct child *c)
{
	if (c->pid)
		child_enter(c, CHILD_READY);
}

/* ---- ending */

static void
describe_end(int status, char *out, size_t n)
{
	if (WIFSIGNALED(status))
		snprintf(out, n, "killed by signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		snprintf(out, n, "exit status %d", WEXITSTATUS(status));
}

static void
ended(struct child *c, int status)
{
	struct children *all = c->all;
	char how[64], name[24];
	pid_t pid = c->pid;

	describe_end(status, how, sizeof(how));
	if (c->resumed && status == 0) {
		c->expected = true;
		c->failures = 0;
	}
	if (c->expected)
		log_debug(LOG_MASTER, "%s: ended, pid=%d, %s", child_name(c, name), (int)pid, how);
	else
		log_warning(LOG_MASTER, "%s: ended unasked, pid=%d, %s", child_name(c, name), (int)pid, how);
	channel_hear_out(c->channel); /* why it ended, perhaps */
	if (all->segment)
		seat_release(all->segment, c->seat);
	channel_free(&c->channel);
	c->pid = 0;
	child_enter(c, CHILD_ABSENT);
	all->events->on_ended(all->arg, c, status);
	if (!all->replacing)
		return;
	if (loop_now_ns(all->loop) - c->started_ns > LIVED_LONG_NS)
		c->failures = 0;
	plan(c);
	if (c->backoff_ms)
		log_warning(LOG_MASTER, "%s: ended %u times in a row, starts again in %u ms",
		    child_name(c, name), c->failures, c->backoff_ms);
}

void
children_reap(struct children *all)
{
	for (unsigned i = 0; i <= all->n; i++) {
		struct child *c = &all->at[i];
		int status;

		if (c->pid && waitpid(c->pid, &status, WNOHANG) == c->pid)
			ended(c, status);
	}
}

void
children_init(struct children *all, struct loop *l, const struct settings *s,
    const struct process *admin, const struct process *worker, const struct children_events *events,
    void *arg)
{
	*all = (struct children){.loop = l,
	    .settings = s,
	    .admin_process = admin,
	    .worker_process = worker,
	    .events = events,
	    .arg = arg,
	    .replacing = true,
	    .n = s->concurrency,
	    .gifts = {.segment_fd = -1, .control_fd = -1, .journal_fd = -1, .elder_journal_fd = -1}};
	all->at = mem_array(struct child, all->n + 1);
	for (unsigned i = 0; i <= all->n; i++) {
		struct child *c = &all->at[i];

		c->all = all;
		c->role = i ? ROLE_WORKER : ROLE_ADMIN;
		c->index = i;
		timer_init(&c->respawn, on_respawn, c);
	}
}

void
children_fini(struct children *all)
{
	for (unsigned i = 0; i <= all->n && all->at; i++) {
		timer_stop(&all->at[i].respawn);
		MEM_CLEAR(all->at[i].who);
		channel_free(&all->at[i].channel);
	}
	MEM_CLEAR(all->at);
}

/* ---- asking and telling */

struct child *
children_at_seat(struct children *all, unsigned seat)
{
	for (unsigned i = 0; i <= all->n; i++)
		if (all->at[i].pid && all->at[i].seat == seat)
			return &all->at[i];
	return NULL;
}

unsigned
children_alive(const struct children *all, enum role role)
{
	unsigned alive = 0;

	for (unsigned i = 0; i <= all->n; i++)
		alive += all->at[i].pid && all->at[i].role == role;
	return alive;
}

bool
child_send(struct child *c, struct message *m)
{
	if (c->channel)
		return channel_send(c->channel, m);
	message_fini(m);
	return false;
}

bool
child_tell(struct child *c, enum message_type t)
{
	struct message m;

	message_init(&m, t);
	return child_send(c, &m);
}

void
children_tell_workers(struct children *all, enum message_type t)
{
	for (unsigned i = 1; i <= all->n; i++)
		child_tell(&all->at[i], t);
}

void
child_kill(struct child *c, int signo)
{
	if (c->pid)
		kill(c->pid, signo);
}
