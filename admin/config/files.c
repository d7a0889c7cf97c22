#include "admin/config/files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/config/hcm.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#define LOG_MODE 0644

void
files_init(struct files *f)
{
	*f = (struct files){.app_fd = -1};
}

static void
close_log(struct log_file *log)
{
	if (log->fd >= 0)
		close(log->fd);
	mem_free(log->path);
}

void
files_fini(struct files *f)
{
	for (size_t i = 0; i < f->logs.len; i++)
		close_log(&f->logs.at[i]);
	for (size_t i = 0; i < f->admin_logs.len; i++)
		close_log(&f->admin_logs.at[i]);
	vec_fini(&f->logs);
	vec_fini(&f->admin_logs);
	if (f->app_fd >= 0) {
		log_set_fd(2);
		close(f->app_fd);
	}
	MEM_CLEAR(f->app_path);
	files_init(f);
}

int
log_file_open(const char *path, struct err *err)
{
	int fd;

	if (strcmp(path, "/dev/stdout") == 0)
		fd = fcntl(1, F_DUPFD_CLOEXEC, 3);
	else if (strcmp(path, "/dev/stderr") == 0)
		fd = fcntl(2, F_DUPFD_CLOEXEC, 3);
	else /* not blocking: a FIFO without a reader must not stop us */
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, LOG_MODE);
	if (fd < 0)
		return err_sys(err, "unable to open file '%s'", path);
	return fd;
}

int
files_open_app_log(struct files *f, const char *path, struct err *err)
{
	int fd = log_file_open(path, err);

	if (fd < 0)
		return -1;
	f->app_path = mem_strdup(path);
	f->app_fd = fd;
	log_set_fd(fd);
	return 0;
}

static bool
has_log(const struct files *f, const char *path)
{
	for (size_t i = 0; i < f->logs.len; i++)
		if (strcmp(f->logs.at[i].path, path) == 0)
			return true;
	return false;
}

static int
open_log(struct log_file *out, const char *path, struct err *err)
{
	int fd = log_file_open(path, err);

	if (fd < 0)
		return -1;
	*out = (struct log_file){mem_strdup(path), fd};
	return 0;
}

static int
add_log(struct files *f, const struct files *now, const char *path, struct err *err)
{
	struct log_file log;

	if (has_log(f, path))
		return 0;
	if (now && has_log(now, path)) {
		*vec_push(&f->logs) = (struct log_file){mem_strdup(path), -1};
		return 0;
	}
	if (open_log(&log, path, err) < 0)
		return -1;
	*vec_push(&f->logs) = log;
	return 0;
}

static int
add_admin_log(struct files *f, const char *path, struct err *err)
{
	struct log_file log;

	if (open_log(&log, path, err) < 0)
		return err_in(err, "admin");
	*vec_push(&f->admin_logs) = log;
	return 0;
}

/* access_log_path is the old spelling. */
static int
open_admin_logs(struct files *f, const struct store *s, struct arena *scratch, struct err *err)
{
	const Envoy__Config__Bootstrap__V3__Admin *m = s->bootstrap->admin;

	if (m == NULL)
		return 0;
	if (m->access_log_path[0] && add_admin_log(f, m->access_log_path, err) < 0)
		return -1;
	for (size_t i = 0; i < m->n_access_log; i++) {
		const char *path = access_log_path(m->access_log[i], scratch);

		if (path && add_admin_log(f, path, err) < 0)
			return -1;
	}
	return 0;
}

struct log_walk {
	struct files *files;
	const struct files *now; /* NULL at start */
	struct arena *scratch;
};

static int
add_logs_of(void *arg, const HttpConnectionManager *hcm, struct err *err)
{
	struct log_walk *w = arg;

	for (size_t i = 0; i < hcm->n_access_log; i++) {
		const char *path = access_log_path(hcm->access_log[i], w->scratch);

		if (path && add_log(w->files, w->now, path, err) < 0)
			return err_in(err, "access_log[%zu]", i);
	}
	return 0;
}

int
files_prepare(struct files *f, const struct files *now, const struct store *s, struct err *err)
{
	struct arena scratch;
	struct log_walk w = {f, now, &scratch};
	int bad = 0;

	arena_init(&scratch);
	for (size_t i = 0; i < s->listeners.len && bad == 0; i++) {
		const struct store_listener *l = &s->listeners.at[i];

		bad = hcm_each(l->message, &scratch, add_logs_of, &w, err);
		if (bad < 0)
			err_in(err, "listener '" STR_FMT "'", STR_ARG(l->name));
	}
	if (bad == 0)
		bad = open_admin_logs(f, s, &scratch, err);
	arena_fini(&scratch);
	return bad;
}

int
files_open_logs(struct files *f, const struct store *s, struct err *err)
{
	return files_prepare(f, NULL, s, err);
}

static void
send_log(struct admin *a, const struct log_file *log, unsigned seat)
{
	struct message m;

	message_init(&m, MSG_LOG_FD);
	m.seat = seat;
	m.fd = log->fd;
	message_z(&m, log->path);
	admin_send(a, &m);
}

static void
send_app_log(struct admin *a, enum message_type type, unsigned seat)
{
	struct message m;

	if (a->files.app_fd < 0)
		return;
	message_init(&m, type);
	m.seat = seat;
	m.fd = a->files.app_fd;
	admin_send(a, &m);
}

void
files_send_app_log(struct admin *a)
{
	send_app_log(a, MSG_APP_LOG_MASTER_FD, 0);
}

void
files_send(struct admin *a, unsigned seat)
{
	send_app_log(a, MSG_APP_LOG_FD, seat);
	for (size_t i = 0; i < a->files.logs.len; i++)
		send_log(a, &a->files.logs.at[i], seat);
}

void
files_send_new(struct admin *a, const struct files *next)
{
	for (size_t i = 0; i < next->logs.len; i++)
		if (next->logs.at[i].fd >= 0)
			send_log(a, &next->logs.at[i], SEAT_ALL);
}

/* ---- a reload */

static void
say_gone(struct admin *a, const char *path)
{
	struct message m;

	message_init(&m, MSG_LOG_GONE);
	message_z(&m, path);
	admin_send(a, &m);
}

/* The descriptor that `next` only noted; closed when it did not. */
static void
hand_over(struct admin *a, struct log_file *log, struct files *next)
{
	for (size_t i = 0; i < next->logs.len; i++) {
		struct log_file *to = &next->logs.at[i];

		if (to->fd >= 0 || strcmp(to->path, log->path) != 0)
			continue;
		to->fd = log->fd;
		log->fd = -1;
		return;
	}
	say_gone(a, log->path);
}

void
files_commit(struct admin *a, struct files *next)
{
	struct files *now = &a->files, old = *now;

	for (size_t i = 0; i < now->logs.len; i++)
		hand_over(a, &now->logs.at[i], next);
	next->app_path = now->app_path;
	next->app_fd = now->app_fd;
	*now = *next;
	files_init(next);
	old.app_path = NULL;
	old.app_fd = -1;
	files_fini(&old);
}

/* A new descriptor in place of *fd; false when the old one stays. */
static bool
reopen(struct admin *a, const char *path, int *fd)
{
	struct err err = {""};
	int fresh = log_file_open(path, &err);

	if (fresh < 0) {
		stat_inc(&a->stats.filesystem->reopen_failed);
		log_error(LOG_FILE, "log file: not reopened, the old one stays: %s", err.text);
		return false;
	}
	close(*fd);
	*fd = fresh;
	return true;
}

void
files_reopen(struct admin *a)
{
	struct files *f = &a->files;
	int old;

	for (size_t i = 0; i < f->logs.len; i++)
		if (reopen(a, f->logs.at[i].path, &f->logs.at[i].fd))
			send_log(a, &f->logs.at[i], SEAT_ALL);
	for (size_t i = 0; i < f->admin_logs.len; i++)
		reopen(a, f->admin_logs.at[i].path, &f->admin_logs.at[i].fd);
	if (f->app_fd < 0)
		return;
	old = log_fd();
	log_set_fd(2); /* a failure must not be written to a closed descriptor */
	if (!reopen(a, f->app_path, &f->app_fd)) {
		log_set_fd(old);
		return;
	}
	log_set_fd(f->app_fd);
	send_app_log(a, MSG_APP_LOG_FD, SEAT_ALL);
	files_send_app_log(a);
}
