/*
 * Admin and worker as small as can be, for tests of master: admin asks
 * for one listening address and says SERVING; a worker answers each
 * connection with "<index> <pid>" and its open descriptors' count.  What
 * they shall do wrong is set before master starts.
 */
#ifndef TESTS_MASTER_FAKES_H
#define TESTS_MASTER_FAKES_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/listen.h"
#include "lib/ipc/orphan.h"
#include "lib/ipc/process.h"
#include "shm/flags.h"
#include "shm/lane.h"

static struct {
	char key[64];       /* what admin listens on */
	char bound_path[128]; /* the bound address is written here */
	bool admin_fails, admin_crashes, worker_crashes, worker_stays;
} fake;

struct fake_socket {
	struct io io;
	int fd;
	unsigned index;
	struct fake_process *p;
};

struct fake_process {
	struct loop *loop;
	struct channel *channel;
	const struct process_start *start;
	struct orphan *orphan;
	struct fake_socket sockets[16];
	int status;
};

static unsigned
count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n - 3; /* ".", ".." and the directory itself */
}

static void
fake_tell(struct fake_process *p, enum message_type t)
{
	struct message m;

	message_init(&m, t);
	channel_send(p->channel, &m);
}

static void
fake_stop(struct fake_process *p, int status)
{
	p->status = status;
	loop_stop(p->loop);
}

static void
fake_on_stop(void *arg, bool now)
{
	fake_stop(arg, 0);
}

static void
fake_on_ps(void *arg, bool json, struct strb *out)
{
	strb_printf(out, "orphan pid %d: its master is gone\n", (int)getpid());
}

static const struct orphan_events fake_orphan_events = {fake_on_stop, NULL, fake_on_ps};

static void
fake_on_closed(void *arg)
{
	struct fake_process *p = arg;

	p->orphan = orphan_start(p->loop, p->start, &fake_orphan_events, p);
	if (p->orphan == NULL)
		fake_stop(p, 0);
}

static void
fake_on_turn(void *arg)
{
	lane_beat();
}

static int
fake_run(const struct process_start *start, void (*on_message)(void *, struct message_view *),
    void (*begin)(struct fake_process *))
{
	struct fake_process p = {.start = start};
	const struct channel_events events = {on_message, fake_on_closed};

	p.loop = loop_new();
	loop_on_turn(p.loop, fake_on_turn, &p);
	p.channel = channel_new(p.loop, start->channel_fd, start->seat, &events, &p);
	begin(&p);
	loop_run(p.loop);
	return p.status;
}

/* ---- admin */

static void
fake_admin_begin(struct fake_process *p)
{
	struct message m;

	if (fake.admin_crashes)
		abort();
	if (fake.admin_fails) {
		message_init(&m, MSG_FAILED);
		message_u(&m, 1);
		channel_send(p->channel, &m);
		fake_stop(p, 1);
		return;
	}
	message_init(&m, MSG_LISTEN);
	message_z(&m, fake.key);
	message_u(&m, LISTEN_REUSE_PORT);
	message_u(&m, 0);
	message_u(&m, 0);
	message_z(&m, "x");
	channel_send(p->channel, &m);
}

static void
fake_on_listened(struct fake_process *p, struct message_view *v)
{
	struct str key = message_get_s(v);
	bool ok = message_get_u(v);
	struct str text = message_get_s(v);
	struct message m;
	FILE *f;

	(void)key;
	if (!ok) {
		log_error(LOG_ADMIN, STR_FMT, STR_ARG(text));
		message_init(&m, MSG_FAILED);
		message_u(&m, 1);
		channel_send(p->channel, &m);
		return;
	}
	f = fopen(fake.bound_path, "w");
	fprintf(f, STR_FMT "\n", STR_ARG(text));
	fclose(f);
	fake_tell(p, MSG_SERVING);
}

static void
fake_admin_on_message(void *arg, struct message_view *v)
{
	struct fake_process *p = arg;
	struct message m;

	if (v->type == MSG_LISTENED)
		fake_on_listened(p, v);
	if (v->type == MSG_STOP_ADMIN)
		fake_stop(p, 0);
	if (v->type == MSG_CONTROL) {
		message_init(&m, MSG_CONTROL_DONE);
		message_u(&m, message_get_u(v));
		message_u(&m, 0);
		message_s(&m, message_get_s(v));
		channel_send(p->channel, &m);
	}
}

static int
fake_admin_run(const struct process_start *start)
{
	if (start->settings->mode == MODE_VALIDATE)
		return 7;
	return fake_run(start, fake_admin_on_message, fake_admin_begin);
}

/* ---- worker */

static void
fake_on_readable(void *arg, unsigned ready)
{
	struct fake_socket *s = arg;
	char text[64];
	int fd = accept(s->fd, NULL, NULL);

	if (fd < 0)
		return;
	snprintf(text, sizeof(text), "%u %d %u\n", s->p->start->index, (int)getpid(),
	    count_descriptors());
	if (write(fd, text, strlen(text)) < 0)
		abort();
	close(fd);
}

static void
fake_on_listen_fd(struct fake_process *p, struct message_view *v)
{
	unsigned index;

	message_get_s(v);
	index = (unsigned)message_get_u(v);
	p->sockets[index] = (struct fake_socket){.fd = message_take_fd(v), .index = index, .p = p};
	io_add_level(p->loop, &p->sockets[index].io, p->sockets[index].fd, IO_READ, fake_on_readable,
	    &p->sockets[index]);
}

static void
fake_on_listen_back(struct fake_process *p, struct message_view *v)
{
	unsigned index;

	message_get_s(v);
	index = (unsigned)message_get_u(v);
	io_del(&p->sockets[index].io);
	close(p->sockets[index].fd);
}

static void
fake_worker_on_message(void *arg, struct message_view *v)
{
	struct fake_process *p = arg;

	if (v->type == MSG_LISTEN_FD)
		fake_on_listen_fd(p, v);
	if (v->type == MSG_LISTEN_BACK)
		fake_on_listen_back(p, v);
	if (v->type == MSG_STOP || (v->type == MSG_DRAIN && !fake.worker_stays))
		fake_stop(p, 0);
}

static void
fake_worker_begin(struct fake_process *p)
{
	if (fake.worker_crashes)
		abort();
	fake_tell(p, MSG_WORKER_READY);
}

static int
fake_worker_run(const struct process_start *start)
{
	return fake_run(start, fake_worker_on_message, fake_worker_begin);
}

static const struct process fake_admin = {"admin", fake_admin_run};
static const struct process fake_worker = {"worker", fake_worker_run};

#endif
