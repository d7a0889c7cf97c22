/*
 * Sinks of access logs.  Run by workers; see sink.h.
 */
#include "worker/access_log/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "shm/block.h"

struct sink {
	char *path;
	int fd;       /* -1: none yet */
	bool regular; /* a file: a write does not wait for a reader */
	bool stuck;   /* the last write failed or was short */
	struct strb lines;
	size_t counted; /* bytes of it in the gauge */
	struct timer timer;
};

static struct {
	struct loop *loop;
	uint32_t interval_ms;
	struct map by_path;
	struct filesystem_stats *files;
	struct access_log_stats *logs;
} sinks;

static void flush_by_timer(void *arg);

void
sinks_init(struct loop *l, uint32_t flush_interval_ms)
{
	sinks.loop = l;
	sinks.interval_ms = flush_interval_ms;
}

static void
use_fd(struct sink *s, int fd)
{
	struct stat st;

	s->fd = fd;
	s->regular = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	s->stuck = fd < 0;
}

struct sink *
sink_at(struct str path)
{
	struct sink *s = map_get(&sinks.by_path, path);

	if (s)
		return s;
	/* by now, when a configuration is built, the blocks are published */
	sinks.files = filesystem_stats_of("filesystem.");
	sinks.logs = access_log_stats_of("access_log.");
	s = mem_new(struct sink);
	s->path = str_dupz(path);
	timer_init(&s->timer, flush_by_timer, s);
	use_fd(s, -1);
	if (str_eqz(path, "/dev/stdout"))
		use_fd(s, fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
	else if (str_eqz(path, "/dev/stderr"))
		use_fd(s, fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
	map_put(&sinks.by_path, str_of(s->path), s);
	return s;
}

/* ---- writing */

static void
count_waiting(struct sink *s)
{
	stat_move(&sinks.files->write_total_buffered, (int64_t)s->lines.n - (int64_t)s->counted);
	s->counted = s->lines.n;
}

/* Whole lines of at most PIPE_BUF bytes, which a pipe takes at once or not at all; a longer line
 * goes in pieces. */
static size_t
pipe_piece(const char *p, size_t n)
{
	const char *end;

	if (n <= PIPE_BUF)
		return n;
	end = memrchr(p, '\n', PIPE_BUF);
	return end ? (size_t)(end - p) + 1 : PIPE_BUF;
}

static bool
has_room(int fd)
{
	struct pollfd p = {fd, POLLOUT, 0};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

/* Gives how many bytes left; fewer than all: try again later. */
static size_t
write_out(struct sink *s)
{
	size_t done = 0;

	while (done < s->lines.n) {
		const char *p = s->lines.p + done;
		size_t left = s->lines.n - done, n = s->regular ? left : pipe_piece(p, left);
		ssize_t k;

		if (!s->regular && !has_room(s->fd))
			break;
		k = write(s->fd, p, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		done += (size_t)k;
		if ((size_t)k < n)
			break;
	}
	return done;
}

static void
say_stuck(const struct sink *s)
{
	log_warning(LOG_FILE, "access log: cannot be written, lines wait, path='%s' reason='%s'",
	    s->path, errno ? strerror(errno) : "no room");
}

static void
flush(struct sink *s)
{
	size_t done;

	if (s->lines.n == 0 || s->fd < 0)
		return;
	errno = 0;
	done = write_out(s);
	if (done < s->lines.n) {
		stat_inc(&sinks.files->write_failed);
		if (!s->stuck)
			say_stuck(s);
		s->stuck = true;
		memmove(s->lines.p, s->lines.p + done, s->lines.n - done);
		s->lines.n -= done;
	} else {
		stat_inc(&sinks.files->write_completed);
		s->stuck = false;
		strb_reset(&s->lines);
	}
	count_waiting(s);
}

static void
arm(struct sink *s)
{
	if (!timer_armed(&s->timer))
		timer_set(sinks.loop, &s->timer, sinks.interval_ms);
}

static void
flush_by_timer(void *arg)
{
	struct sink *s = arg;

	stat_inc(&sinks.files->flushed_by_timer);
	flush(s);
	if (s->lines.n)
		arm(s);
}

struct strb *
sink_line(struct sink *s)
{
	if (s->stuck && s->lines.n >= SINK_BUFFER) {
		stat_inc(&sinks.logs->lines_dropped);
		return NULL;
	}
	if (s->lines.cap == 0)
		strb_reserve(&s->lines, SINK_BUFFER + SINK_BUFFER / 8); /* one more line fits */
	return &s->lines;
}

void
sink_line_done(struct sink *s)
{
	stat_inc(&sinks.logs->lines_written);
	stat_inc(&sinks.files->write_buffered);
	if (s->lines.n >= SINK_BUFFER && !s->stuck)
		flush(s);
	else
		count_waiting(s);
	if (s->lines.n)
		arm(s);
}

void
sink_set_fd(struct sink *s, int fd)
{
	flush(s);
	if (s->fd >= 0)
		close(s->fd);
	use_fd(s, fd);
}

void
sinks_flush(void)
{
	struct map_slot *slot;
	size_t i = 0;

	while ((slot = map_next(&sinks.by_path, &i)) != NULL)
		flush(slot->value);
}

void
sinks_fini(void)
{
	struct map_slot *slot;
	size_t i = 0;

	while ((slot = map_next(&sinks.by_path, &i)) != NULL) {
		struct sink *s = slot->value;

		flush(s);
		s->lines.n = 0;
		count_waiting(s);
		timer_stop(&s->timer);
		if (s->fd >= 0)
			close(s->fd);
		strb_fini(&s->lines);
		mem_free(s->path);
		mem_free(s);
	}
	map_fini(&sinks.by_path);
}
