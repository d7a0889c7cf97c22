#include "admin/xds/watch.h"

#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

static bool
is_ours(const struct watch *w, const struct inotify_event *e)
{
	if (!(e->mask & (IN_MOVED_TO | IN_Q_OVERFLOW)))
		return false;
	if (w->name == NULL || (e->mask & IN_Q_OVERFLOW))
		return true;
	return e->len > 0 && strcmp(e->name, w->name) == 0;
}

static void
on_ready(void *arg, unsigned ready)
{
	struct watch *w = arg;
	char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool moved = false;
	ssize_t n;

	while ((n = read(w->fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(bytes + at);

			moved |= is_ours(w, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	if (moved)
		w->on_move(w->arg);
}

static int
add_directory(int fd, const char *path, const char *directory, struct err *err)
{
	const char *slash = strrchr(path, '/');
	struct strb own = {0};
	int rc;

	if (directory)
		strb_addz(&own, directory);
	else if (slash)
		strb_add(&own, path, slash == path ? 1 : (size_t)(slash - path));
	else
		strb_addz(&own, ".");
	rc = inotify_add_watch(fd, strb_z(&own), IN_MOVED_TO);
	if (rc < 0)
		err_sys(err, "'%s' cannot be watched", strb_z(&own));
	strb_fini(&own);
	return rc < 0 ? -1 : 0;
}

int
watch_open(struct watch *w, struct loop *l, const char *path, const char *directory,
    void (*on_move)(void *arg), void *arg, struct err *err)
{
	const char *slash = strrchr(path, '/');
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	*w = (struct watch){.fd = -1, .on_move = on_move, .arg = arg};
	if (fd < 0)
		return err_sys(err, "inotify");
	if (add_directory(fd, path, directory, err) < 0) {
		close(fd);
		return -1;
	}
	w->fd = fd;
	if (directory == NULL)
		w->name = str_dupz(str_of(slash ? slash + 1 : path));
	io_add_level(l, &w->io, fd, IO_READ, on_ready, w);
	return 0;
}

void
watch_close(struct watch *w)
{
	if (w->fd < 0)
		return;
	io_del(&w->io);
	close(w->fd);
	mem_free(w->name);
	*w = (struct watch){.fd = -1};
}
