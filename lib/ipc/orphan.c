#include "lib/ipc/orphan.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/ipc/control.h"
#include "lib/ipc/handover.h"

#define ASKERS_MOST 64

struct asker {
	struct list node;
	struct io io;
	struct orphan *orphan;
	int fd;
};

struct orphan {
	struct loop *loop;
	struct io io;
	struct list askers;
	unsigned n;
	const struct process_start *start;
	const struct orphan_events *events;
	void *arg;
};

static void
asker_free(struct asker *a)
{
	a->orphan->n--;
	list_remove(&a->node);
	io_del(&a->io);
	close(a->fd);
	mem_free(a);
}

static void
answer(struct asker *a, struct str packet)
{
	struct orphan *o = a->orphan;
	struct control_request r;
	enum control_command c;
	struct strb text = {0};
	struct err err = {""};

	if (!control_is_allowed(a->fd)) {
		control_answer(a->fd, CONTROL_REFUSED,
		    STR("only this proxy's user and root are answered\n"));
	} else if (control_request_read(&r, packet, &err) < 0 ||
	    control_find(&r, &c, &err) < 0) {
		control_answer(a->fd, CONTROL_USAGE, str_of(err.text));
	} else if (c == CONTROL_PS) {
		o->events->on_ps(o->arg, r.json, &text);
		control_answer(a->fd, CONTROL_OK, strb_str(&text));
	} else if (c == CONTROL_STOP) {
		strb_printf(&text, "pid %d is ending\n", (int)getpid());
		control_answer(a->fd, CONTROL_OK, strb_str(&text));
		o->events->on_stop(o->arg, r.n == 2 && str_eqz(r.words[1], "now"));
	} else {
		control_answer(a->fd, CONTROL_REFUSED,
		    STR("the master is gone; only ps and stop are answered here\n"));
	}
	strb_fini(&text);
}

static bool
is_adoption(const struct asker *a, struct str packet)
{
	struct handover_packet p;

	handover_parse(&p, packet);
	return p.word == HANDOVER_ADOPT && a->orphan->events->on_adopted && control_is_allowed(a->fd);
}

static void
on_request(void *arg, unsigned ready)
{
	struct asker *a = arg;
	char packet[4096];
	ssize_t n = recv(a->fd, packet, sizeof(packet), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && is_adoption(a, str_make(packet, (size_t)n))) {
		io_del(&a->orphan->io); /* the next to ask is for another orphan */
		a->orphan->events->on_adopted(a->orphan->arg, fcntl(a->fd, F_DUPFD_CLOEXEC, 0));
	} else if (n > 0)
		answer(a, str_make(packet, (size_t)n));
	asker_free(a);
}

static void
on_asked(void *arg, unsigned ready)
{
	struct orphan *o = arg;
	int fd = accept4(o->start->control_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct asker *a;

	if (fd < 0)
		return;
	if (o->n >= ASKERS_MOST) /* all idle, as each is answered at once: the oldest goes */
		asker_free(list_entry(list_first(&o->askers), struct asker, node));
	a = mem_new(struct asker);
	o->n++;
	a->orphan = o;
	a->fd = fd;
	list_push_back(&o->askers, &a->node);
	io_add_level(o->loop, &a->io, fd, IO_READ, on_request, a);
}

struct orphan *
orphan_start(struct loop *l, const struct process_start *start, const struct orphan_events *events,
    void *arg)
{
	struct orphan *o;

	if (start->control_fd < 0)
		return NULL;
	o = mem_new(struct orphan);
	*o = (struct orphan){.loop = l, .start = start, .events = events, .arg = arg};
	list_init(&o->askers);
	io_add_level(l, &o->io, start->control_fd, IO_READ, on_asked, o);
	return o;
}

void
orphan_free(struct orphan **op)
{
	struct orphan *o = *op;

	*op = NULL;
	if (o == NULL)
		return;
	list_for_each(n, &o->askers)
		asker_free(list_entry(n, struct asker, node));
	io_del(&o->io);
	mem_free(o);
}
