#include "master/control.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/handover.h"
#include "master/control_private.h"
#include "master/predecessor.h"
#include "master/report.h"
#include "master/successor.h"
#include "shm/flags.h"

#define IDLE_MOST 64	  /* connected, and have not asked yet */
#define WAITING_MOST 64   /* for an answer */
#define PATIENCE_MS 10000 /* for a request to come, and for admin to answer */
#define PAUSE_MS 100      /* out of descriptors */

/* ---- commands */

typedef void command_fn(struct asker *a, const struct control_request *r);

static void
do_ps(struct asker *a, const struct control_request *r)
{
	struct strb text = {0};
	bool why = r->n == 2;

	if (why && !str_eqz(r->words[1], "why")) {
		asker_answer(a, CONTROL_USAGE, STR("usage: ps [--why]\n"));
		return;
	}
	if (r->json)
		report_json(a->control->master, &text);
	else
		report_text(a->control->master, why, &text);
	asker_answer(a, CONTROL_OK, strb_str(&text));
	strb_fini(&text);
}

static void
do_healthcheck(struct asker *a, const struct control_request *r)
{
	bool fail = str_eqz(r->words[1], "fail");

	if (!fail && !str_eqz(r->words[1], "ok")) {
		asker_answer(a, CONTROL_USAGE, STR("usage: healthcheck fail|ok\n"));
		return;
	}
	master_set_health(a->control->master, fail, "batonctl");
	asker_answer(a, CONTROL_OK, r->json ? STR("{\"status\":\"ok\"}\n") : STR("OK\n"));
}

static void
do_stop(struct asker *a, const struct control_request *r)
{
	struct master *m = a->control->master;
	bool now = r->n == 2;

	if (now && !str_eqz(r->words[1], "now")) {
		asker_answer(a, CONTROL_USAGE, STR("usage: stop [now]\n"));
		return;
	}
	asker_answer(a, CONTROL_OK, r->json ? STR("{\"status\":\"ending\"}\n") : STR("ending\n"));
	if (now)
		master_end(m, 0);
	else if (m->state == MASTER_STARTING || m->state == MASTER_SERVING)
		master_drain(m); /* being asked twice is no hurry here, as batonctl asks until all is gone */
}

static void
do_hot_restart(struct asker *a, const struct control_request *r)
{
	struct master *m = a->control->master;

	asker_wait_for(a, master_is_changing(m) ? WAITS_FOR_NEXT_RESTART : WAITS_FOR_RESTART);
	master_hot_restart(m);
}

static void
do_rollback(struct asker *a, const struct control_request *r)
{
	asker_wait_for(a, WAITS_FOR_ROLLBACK);
	master_roll_back(a->control->master);
}

static void
do_drain(struct asker *a, const struct control_request *r)
{
	struct master *m = a->control->master;

	asker_wait_for(a, WAITS_FOR_END);
	if (m->state == MASTER_STARTING || m->state == MASTER_SERVING)
		master_drain(m);
}

static void
ask_admin(struct asker *a, const struct control_request *r)
{
	struct control *c = a->control;

	a->waits = WAITS_FOR_ADMIN;
	if (asker_ask_admin(a, ++c->last_id, r))
		timer_set(c->master->loop, &a->patience, PATIENCE_MS);
	else
		asker_say(a, CONTROL_REFUSED, STR("admin is not there just now"));
}

/* Held like SIGHUP while the generations change, or admin is just starting. */
static void
do_reload(struct asker *a, const struct control_request *r)
{
	struct master *m = a->control->master;

	if (m->state != MASTER_STARTING && m->state != MASTER_SERVING) {
		asker_say(a, CONTROL_REFUSED, STR("this generation is ending"));
	} else if (m->restart.running || m->children.at[0].state != CHILD_READY) {
		log_info(LOG_MASTER, "reload: waits for %s",
		    m->restart.running ? "the hot restart that is under way" : "admin");
		asker_wait_for(a, WAITS_TO_RELOAD);
		if (!m->restart.running)
			timer_set(m->loop, &a->patience, RELOAD_PATIENCE_MS);
	} else {
		asker_reload(a);
	}
}

static command_fn *const commands[CONTROL_COMMANDS] = {
    [CONTROL_PS] = do_ps,
    [CONTROL_HEALTHCHECK] = do_healthcheck,
    [CONTROL_HOST] = ask_admin,
    [CONTROL_LOGGING] = ask_admin,
    [CONTROL_RELOAD] = do_reload,
    [CONTROL_HOT_RESTART] = do_hot_restart,
    [CONTROL_ROLLBACK] = do_rollback,
    [CONTROL_DRAIN] = do_drain,
    [CONTROL_STOP] = do_stop,
};

/* The names lead to another generation by now, but this one was asked before that. */
static bool
belongs_to_another(const struct asker *a)
{
	struct master *m = a->control->master;

	return m->state == MASTER_HANDED_OVER && link_in(m, LINK_SERVES);
}

static bool
is_answered_at_once(enum control_command c)
{
	return c == CONTROL_PS || c == CONTROL_HEALTHCHECK || c == CONTROL_STOP;
}

static unsigned
count_waiting(const struct control *c)
{
	unsigned n = 0;

	list_for_each(node, &c->askers)
		n += list_entry(node, struct asker, node)->waits != WAITS_FOR_NOTHING;
	return n;
}

static void
run_request(struct asker *a, struct str packet)
{
	enum control_command command;
	struct control_request r;
	struct err err;

	if (control_request_read(&r, packet, &err) < 0 || control_find(&r, &command, &err) < 0) {
		asker_answer(a, CONTROL_USAGE, str_of(err.text));
		return;
	}
	a->json = r.json;
	if (!is_answered_at_once(command) && count_waiting(a->control) >= WAITING_MOST) {
		asker_say(a, CONTROL_REFUSED, STR("too many wait for an answer already"));
		return;
	}
	strb_adds(&a->packet, packet);
	if (belongs_to_another(a))
		asker_pass_on(a, link_in(a->control->master, LINK_SERVES));
	else
		commands[command](a, &r);
}

void
control_take(struct control *c, struct handover_packet *p)
{
	struct asker *a;

	if (c == NULL || p->fd < 0 || !control_is_allowed(p->fd))
		return;
	a = asker_new(c, p->fd);
	p->fd = -1;
	if (handover_u(p, FIELD_HELD_BACK)) {
		struct control_request r;
		struct err err;

		strb_adds(&a->packet, handover_s(p, FIELD_REQUEST));
		a->json = control_request_read(&r, strb_str(&a->packet), &err) == 0 && r.json;
		a->waits = WAITS_FOR_NEXT_RESTART;
		return;
	}
	run_request(a, handover_s(p, FIELD_REQUEST));
}

/* ---- the socket */

static void
on_request(void *arg, unsigned ready)
{
	struct asker *a = arg;
	char packet[CONTROL_PACKET];
	struct handover_packet hello;
	ssize_t n = recv(a->fd, packet, sizeof(packet), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		asker_free(a);
		return;
	}
	io_del(&a->io); /* one request, one answer */
	/* Asked only now: closing on unread bytes would take the answer away with them. */
	if (!control_is_allowed(a->fd)) {
		log_warning(LOG_MASTER, "control socket: a process of another user was refused");
		asker_answer(a, CONTROL_REFUSED, STR("only this proxy's user and root are answered\n"));
		return;
	}
	handover_parse(&hello, str_make(packet, (size_t)n));
	if (hello.word == HANDOVER_HELLO || hello.word == HANDOVER_DRAINING) {
		int fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);

		if (fd >= 0 && hello.word == HANDOVER_HELLO)
			predecessor_hello(a->control->master, fd, &hello);
		else if (fd >= 0)
			successor_joined(a->control->master, fd, &hello);
		asker_free(a);
		return;
	}
	run_request(a, str_make(packet, (size_t)n));
}

/* Whoever keeps a connection without asking keeps nobody from asking: the oldest goes. */
static void
make_room(struct control *c)
{
	struct asker *oldest = NULL;
	unsigned idle = 0;

	list_for_each(n, &c->askers)
	{
		struct asker *a = list_entry(n, struct asker, node);

		if (a->waits != WAITS_FOR_NOTHING)
			continue;
		if (idle++ == 0)
			oldest = a;
	}
	if (idle >= IDLE_MOST)
		asker_free(oldest);
}

static void
on_pause_over(void *arg)
{
	struct control *c = arg;

	io_change_level(&c->io, IO_READ);
}

static void
on_asked(void *arg, unsigned ready)
{
	struct control *c = arg;
	int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct asker *a;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			io_change_level(&c->io, 0);
			timer_set(c->master->loop, &c->pause, PAUSE_MS);
		}
		return;
	}
	make_room(c);
	a = asker_new(c, fd);
	timer_set(c->master->loop, &a->patience, PATIENCE_MS);
	io_add_level(c->master->loop, &a->io, fd, IO_READ, on_request, a);
}

struct control *
control_new(struct master *m, int listening_fd)
{
	struct control *c = mem_new(struct control);

	c->master = m;
	c->fd = listening_fd;
	list_init(&c->askers);
	timer_init(&c->pause, on_pause_over, c);
	io_add_level(m->loop, &c->io, listening_fd, IO_READ, on_asked, c);
	return c;
}

void
control_close(struct control *c)
{
	if (c == NULL)
		return;
	timer_stop(&c->pause);
	io_del(&c->io);
	if (c->cut == 0)
		c->cut = report_cut_by_now();
	list_for_each(n, &c->askers)
	{
		struct asker *a = list_entry(n, struct asker, node);

		if (a->waits != WAITS_FOR_END)
			asker_free(a);
	}
}

void
control_free(struct control **cp)
{
	struct control *c = *cp;
	char text[64];

	*cp = NULL;
	if (c == NULL)
		return;
	control_close(c);
	snprintf(text, sizeof(text), "ended, connections cut at the deadline: %u", c->cut);
	control_done(c, WAITS_FOR_END, CONTROL_OK, c->cut ? str_of(text) : STR("ended"));
	mem_free(c);
}
