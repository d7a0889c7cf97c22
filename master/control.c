#include "master/control.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/ipc/control.h"
#include "lib/ipc/handover.h"
#include "master/master_private.h"
#include "master/predecessor.h"
#include "master/report.h"
#include "master/successor.h"
#include "shm/flags.h"

#define ASKERS_MOST 64
#define PATIENCE_MS 10000 /* for a request to come, and for admin to answer */
#define RELOAD_PATIENCE_MS 120000 /* names are resolved, every worker builds */
#define PAUSE_MS 100      /* out of descriptors */

struct asker {
	struct list node;
	struct io io;
	struct timer patience;
	struct control *control;
	int fd;
	uint64_t id;  /* of the question to admin; 0: none */
	bool restart; /* waits for the end of a hot restart or a rollback */
};

struct control {
	struct master *master;
	struct io io;
	struct timer pause;
	int fd; /* borrowed */
	struct list askers;
	unsigned n;
	uint64_t last_id;
};

/* ---- askers */

static void
asker_free(struct asker *a)
{
	a->control->n--;
	list_remove(&a->node);
	timer_stop(&a->patience);
	io_del(&a->io);
	close(a->fd);
	mem_free(a);
}

static void
answer(struct asker *a, enum control_status status, struct str text)
{
	control_answer(a->fd, status, text);
	asker_free(a);
}

static void
on_patience(void *arg)
{
	struct asker *a = arg;

	if (a->id)
		answer(a, CONTROL_REFUSED, STR("admin did not answer\n"));
	else
		asker_free(a);
}

/* ---- commands */

typedef void command_fn(struct asker *a, const struct control_request *r);

static void
do_ps(struct asker *a, const struct control_request *r)
{
	struct strb text = {0};

	if (r->json)
		report_json(a->control->master, &text);
	else
		report_text(a->control->master, &text);
	answer(a, CONTROL_OK, strb_str(&text));
	strb_fini(&text);
}

static void
do_healthcheck(struct asker *a, const struct control_request *r)
{
	bool fail = str_eqz(r->words[1], "fail");

	if (!fail && !str_eqz(r->words[1], "ok")) {
		answer(a, CONTROL_USAGE, STR("usage: healthcheck fail|ok\n"));
		return;
	}
	master_set_health(a->control->master, fail, "batonctl");
	answer(a, CONTROL_OK, r->json ? STR("{\"status\":\"ok\"}\n") : STR("OK\n"));
}

static void
do_stop(struct asker *a, const struct control_request *r)
{
	struct master *m = a->control->master;
	bool now = r->n == 2;

	if (now && !str_eqz(r->words[1], "now")) {
		answer(a, CONTROL_USAGE, STR("usage: stop [now]\n"));
		return;
	}
	answer(a, CONTROL_OK, r->json ? STR("{\"status\":\"ending\"}\n") : STR("ending\n"));
	if (now)
		master_end(m, 0);
	else if (m->state == MASTER_STARTING || m->state == MASTER_SERVING)
		master_drain(m); /* being asked twice is no hurry here, as batonctl asks until all is gone */
}

/* No patience here: the restart has its own. */
static void
do_hot_restart(struct asker *a, const struct control_request *r)
{
	a->restart = true;
	timer_stop(&a->patience);
	master_hot_restart(a->control->master);
}

static void
do_rollback(struct asker *a, const struct control_request *r)
{
	a->restart = true;
	if (successor_roll_back(a->control->master) < 0)
		answer(a, CONTROL_REFUSED, STR("no generation drains that could serve again\n"));
}

void
control_restart_done(struct control *c, unsigned status, struct str text)
{
	struct strb line = {0};

	if (c == NULL)
		return;
	strb_adds(&line, text);
	if (!str_ends(text, STR("\n")))
		strb_addc(&line, '\n');
	list_for_each(n, &c->askers)
	{
		struct asker *a = list_entry(n, struct asker, node);

		if (a->restart)
			answer(a, (enum control_status)status, strb_str(&line));
	}
	strb_fini(&line);
}

static void
do_drain(struct asker *a, const struct control_request *r)
{
	struct master *m = a->control->master;

	answer(a, CONTROL_OK, r->json ? STR("{\"status\":\"draining\"}\n") : STR("draining\n"));
	if (m->state == MASTER_STARTING || m->state == MASTER_SERVING)
		master_drain(m);
}

static void
ask_admin_within(struct asker *a, const struct control_request *r, uint32_t patience_ms)
{
	struct control *c = a->control;
	struct strb line = {0};
	struct message m;

	for (unsigned i = 0; i < r->n; i++) {
		if (i)
			strb_addc(&line, ' ');
		strb_adds(&line, r->words[i]);
	}
	a->id = ++c->last_id;
	message_init(&m, MSG_CONTROL);
	message_u(&m, a->id);
	message_s(&m, strb_str(&line));
	message_u(&m, r->json);
	strb_fini(&line);
	if (!child_send(&c->master->children.at[0], &m))
		answer(a, CONTROL_REFUSED, STR("admin is not there just now\n"));
	else
		timer_set(c->master->loop, &a->patience, patience_ms);
}

static void
ask_admin(struct asker *a, const struct control_request *r)
{
	ask_admin_within(a, r, PATIENCE_MS);
}

static void
do_reload(struct asker *a, const struct control_request *r)
{
	const struct master *m = a->control->master;

	if (m->state == MASTER_STARTING || m->state == MASTER_SERVING)
		ask_admin_within(a, r, RELOAD_PATIENCE_MS);
	else
		answer(a, CONTROL_REFUSED, STR("this generation is ending\n"));
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

void
control_on_done(struct control *c, struct message_view *v)
{
	uint64_t id = message_get_u(v), status = message_get_u(v);
	struct str text = message_get_s(v);

	list_for_each(n, &c->askers) {
		struct asker *a = list_entry(n, struct asker, node);

		if (a->id == id && id) {
			answer(a, (enum control_status)(status & 0xff), text);
			return;
		}
	}
}

void
control_admin_ended(struct control *c)
{
	list_for_each(n, &c->askers) {
		struct asker *a = list_entry(n, struct asker, node);

		if (a->id)
			answer(a, CONTROL_REFUSED, STR("admin ended before it answered\n"));
	}
}

/* ---- the socket */

static void
on_request(void *arg, unsigned ready)
{
	struct asker *a = arg;
	char packet[CONTROL_PACKET];
	struct handover_packet hello;
	struct control_request r;
	enum control_command command;
	struct err err;
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
		answer(a, CONTROL_REFUSED, STR("only this proxy's user and root are answered\n"));
		return;
	}
	handover_parse(&hello, str_make(packet, (size_t)n));
	if (hello.word == HANDOVER_HELLO) {
		predecessor_hello(a->control->master, fcntl(a->fd, F_DUPFD_CLOEXEC, 0), &hello);
		asker_free(a);
		return;
	}
	if (control_request_read(&r, str_make(packet, (size_t)n), &err) < 0 ||
	    control_find(&r, &command, &err) < 0) {
		answer(a, CONTROL_USAGE, str_of(err.text));
		return;
	}
	commands[command](a, &r);
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
	if (c->n >= ASKERS_MOST) {
		close(fd);
		return;
	}
	a = mem_new(struct asker);
	a->control = c;
	a->fd = fd;
	c->n++;
	list_push_back(&c->askers, &a->node);
	timer_init(&a->patience, on_patience, a);
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
control_free(struct control **cp)
{
	struct control *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	list_for_each(n, &c->askers)
		asker_free(list_entry(n, struct asker, node));
	timer_stop(&c->pause);
	io_del(&c->io);
	mem_free(c);
}
