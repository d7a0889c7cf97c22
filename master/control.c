#include "master/control.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/json_out.h"
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
	uint64_t id; /* of the question to admin; 0: none */
	enum control_wait waits;
	bool json;
	struct strb packet; /* its request, for another generation */
};

struct control {
	struct master *master;
	struct io io;
	struct timer pause;
	int fd; /* borrowed */
	struct list askers;
	unsigned n;
	unsigned cut; /* connections, when the end came */
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
	strb_fini(&a->packet);
	close(a->fd);
	mem_free(a);
}

static void
answer(struct asker *a, enum control_status status, struct str text)
{
	control_answer(a->fd, status, text);
	asker_free(a);
}

/* One line of text, or the same as JSON. */
static void
answer_line(struct asker *a, enum control_status status, struct str text)
{
	struct strb line = {0};
	struct json_out j;

	if (str_ends(text, STR("\n")))
		text.n--;
	if (a->json) {
		json_out_init(&j, &line, false);
		json_object(&j);
		json_keyz(&j, "status");
		json_stringz(&j, status == CONTROL_OK ? "ok" : "refused");
		json_keyz(&j, "text");
		json_string(&j, text);
		json_end(&j);
	} else {
		strb_adds(&line, text);
	}
	strb_addc(&line, '\n');
	answer(a, status, strb_str(&line));
	strb_fini(&line);
}

static void
on_patience(void *arg)
{
	struct asker *a = arg;

	if (a->waits == WAITS_FOR_ADMIN)
		answer_line(a, CONTROL_REFUSED, STR("admin did not answer"));
	else if (a->waits == WAITS_TO_RELOAD)
		answer_line(a, CONTROL_REFUSED, STR("admin is not there"));
	else
		asker_free(a);
}

/* Whoever is waited for has a limit of his own. */
static void
wait_for(struct asker *a, enum control_wait what)
{
	a->waits = what;
	timer_stop(&a->patience);
}

/* ---- commands */

typedef void command_fn(struct asker *a, const struct control_request *r);

static void
do_ps(struct asker *a, const struct control_request *r)
{
	struct strb text = {0};
	bool why = r->n == 2;

	if (why && !str_eqz(r->words[1], "why")) {
		answer(a, CONTROL_USAGE, STR("usage: ps [--why]\n"));
		return;
	}
	if (r->json)
		report_json(a->control->master, &text);
	else
		report_text(a->control->master, why, &text);
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

static void
do_hot_restart(struct asker *a, const struct control_request *r)
{
	struct master *m = a->control->master;

	wait_for(a, master_is_changing(m) ? WAITS_FOR_NEXT_RESTART : WAITS_FOR_RESTART);
	master_hot_restart(m);
}

static void
do_rollback(struct asker *a, const struct control_request *r)
{
	wait_for(a, WAITS_FOR_ROLLBACK);
	master_roll_back(a->control->master);
}

static void
do_drain(struct asker *a, const struct control_request *r)
{
	struct master *m = a->control->master;

	wait_for(a, WAITS_FOR_END);
	if (m->state == MASTER_STARTING || m->state == MASTER_SERVING)
		master_drain(m);
}

static bool
send_to_admin(struct asker *a, uint64_t id, const struct control_request *r)
{
	struct strb line = {0};
	struct message m;

	for (unsigned i = 0; i < r->n; i++) {
		if (i)
			strb_addc(&line, ' ');
		strb_adds(&line, r->words[i]);
	}
	a->id = id;
	message_init(&m, MSG_CONTROL);
	message_u(&m, id);
	message_s(&m, strb_str(&line));
	message_u(&m, a->json);
	strb_fini(&line);
	return child_send(&a->control->master->children.at[0], &m);
}

static void
ask_admin(struct asker *a, const struct control_request *r)
{
	struct control *c = a->control;

	a->waits = WAITS_FOR_ADMIN;
	if (send_to_admin(a, ++c->last_id, r))
		timer_set(c->master->loop, &a->patience, PATIENCE_MS);
	else
		answer_line(a, CONTROL_REFUSED, STR("admin is not there just now"));
}

static void
reload_now(struct asker *a)
{
	static const struct control_request reload = {.n = 1, .words = {{"reload", 6}}};
	struct control *c = a->control;

	a->waits = WAITS_FOR_ADMIN;
	if (!send_to_admin(a, ++c->last_id | RELOAD_ID, &reload)) {
		answer_line(a, CONTROL_REFUSED, STR("admin is not there just now"));
		return;
	}
	c->master->reloading++;
	timer_set(c->master->loop, &a->patience, RELOAD_PATIENCE_MS);
}

/* Held like SIGHUP while the generations change, or admin is just starting. */
static void
do_reload(struct asker *a, const struct control_request *r)
{
	struct master *m = a->control->master;

	if (m->state != MASTER_STARTING && m->state != MASTER_SERVING) {
		answer_line(a, CONTROL_REFUSED, STR("this generation is ending"));
	} else if (m->restart.running || m->children.at[0].state != CHILD_READY) {
		log_info(LOG_MASTER, "reload: waits for %s",
		    m->restart.running ? "the hot restart that is under way" : "admin");
		wait_for(a, WAITS_TO_RELOAD);
		if (!m->restart.running)
			timer_set(m->loop, &a->patience, RELOAD_PATIENCE_MS);
	} else {
		reload_now(a);
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
	control_done(c, WAITS_FOR_ADMIN, CONTROL_REFUSED, STR("admin ended before it answered"));
}

/* ---- askers who wait */

void
control_done(struct control *c, enum control_wait what, unsigned status, struct str text)
{
	if (c == NULL)
		return;
	list_for_each(n, &c->askers)
	{
		struct asker *a = list_entry(n, struct asker, node);

		if (a->waits == what)
			answer_line(a, (enum control_status)status, text);
	}
}

void
control_next_begins(struct control *c)
{
	if (c == NULL)
		return;
	list_for_each(n, &c->askers)
	{
		struct asker *a = list_entry(n, struct asker, node);

		if (a->waits == WAITS_FOR_NEXT_RESTART)
			a->waits = WAITS_FOR_RESTART;
	}
}

bool
control_has_waiting(const struct control *c, enum control_wait what)
{
	if (c == NULL)
		return false;
	list_for_each(n, (struct list *)&c->askers)
		if (list_entry(n, struct asker, node)->waits == what)
			return true;
	return false;
}

void
control_reload_now(struct control *c)
{
	if (c == NULL)
		return;
	list_for_each(n, &c->askers)
	{
		struct asker *a = list_entry(n, struct asker, node);

		if (a->waits == WAITS_TO_RELOAD)
			reload_now(a);
	}
}

/* ---- from one generation to another */

static void
pass_on(struct asker *a, struct link *l)
{
	struct strb b = {0};

	handover_begin(&b, HANDOVER_REQUEST);
	handover_put_s(&b, FIELD_REQUEST, strb_str(&a->packet));
	handover_put_u(&b, FIELD_HELD_BACK, a->waits == WAITS_FOR_NEXT_RESTART);
	link_send(l, &b, a->fd);
	asker_free(a);
}

void
control_pass_on(struct control *c, struct link *l)
{
	if (c == NULL)
		return;
	list_for_each(n, &c->askers)
	{
		struct asker *a = list_entry(n, struct asker, node);

		if (a->waits == WAITS_FOR_NEXT_RESTART || a->waits == WAITS_TO_RELOAD)
			pass_on(a, l);
	}
}

/* The names lead to another generation by now, but this one was asked before that. */
static bool
belongs_to_another(const struct asker *a)
{
	struct master *m = a->control->master;

	return m->state == MASTER_HANDED_OVER && link_in(m, LINK_SERVES);
}

static struct asker *
asker_new(struct control *c, int fd)
{
	struct asker *a = mem_new(struct asker);

	a->control = c;
	a->fd = fd;
	c->n++;
	list_push_back(&c->askers, &a->node);
	timer_init(&a->patience, on_patience, a);
	return a;
}

static void
run_request(struct asker *a, struct str packet)
{
	enum control_command command;
	struct control_request r;
	struct err err;

	if (control_request_read(&r, packet, &err) < 0 || control_find(&r, &command, &err) < 0) {
		answer(a, CONTROL_USAGE, str_of(err.text));
		return;
	}
	a->json = r.json;
	strb_adds(&a->packet, packet);
	if (belongs_to_another(a))
		pass_on(a, link_in(a->control->master, LINK_SERVES));
	else
		commands[command](a, &r);
}

void
control_take(struct control *c, struct handover_packet *p)
{
	struct asker *a;

	if (c == NULL || p->fd < 0 || c->n >= ASKERS_MOST || !control_is_allowed(p->fd))
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
		answer(a, CONTROL_REFUSED, STR("only this proxy's user and root are answered\n"));
		return;
	}
	handover_parse(&hello, str_make(packet, (size_t)n));
	if (hello.word == HANDOVER_HELLO || hello.word == HANDOVER_DRAINING) {
		int fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);

		if (hello.word == HANDOVER_HELLO)
			predecessor_hello(a->control->master, fd, &hello);
		else
			successor_joined(a->control->master, fd, &hello);
		asker_free(a);
		return;
	}
	run_request(a, str_make(packet, (size_t)n));
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
