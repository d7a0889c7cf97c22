#include "lib/net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/pipe.h"

#define IOV_BATCH 64
#define UNSEEN_MIN (32 * 1024) /* less is copied */
#define HEAD_ROOM 2048 /* of a message that a large body may follow: the rest is for its pipe */
#define KEEP_ROOM 1024 /* a chunk with less room than this is not read into again */
#define AGAIN_DATA 8u  /* a bit of our own beside enum io_ready: on_data once more */

static void on_io(void *arg, unsigned ready);
static void on_flush(void *arg);
static void on_look(void *arg);
static void on_timer(void *arg);

/* ---- ending */

static void
free_buffers(void *arg)
{
	struct conn *c = arg;

	chunk_unref(&c->rd);
	buf_fini(&c->in);
	buf_fini(&c->out);
}

static void
tell_closed(void *arg)
{
	struct conn *c = arg;

	free_buffers(c);
	c->events->on_closed(c->arg, c->why, c->error);
}

static void
release_socket(struct conn *c)
{
	c->closed = true;
	io_del(c->io);
	flush_cancel(&c->flush);
	flush_cancel(&c->look);
	timer_stop(&c->timer);
	if (c->transport_data)
		c->transport->free(c);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/*
 * The socket goes now; the owner hears of it from the loop.  Buffers stay
 * until then: somebody up the stack may be reading `in`.
 */
static void
end(struct conn *c, enum conn_end why, int error)
{
	if (c->closed)
		return;
	c->why = why;
	c->error = error;
	release_socket(c);
	loop_defer(c->io->loop, tell_closed, c);
}

void
conn_abort(struct conn *c)
{
	if (c->closed)
		return;
	release_socket(c);
	loop_defer(c->io->loop, free_buffers, c);
}

int
conn_release(struct conn *c)
{
	int fd = c->fd;

	ASSERT(buf_empty(&c->in) && buf_empty(&c->out) && !c->closed);
	c->fd = -1;
	release_socket(c);
	free_buffers(c);
	return fd;
}

/* ---- reading */

/* A chunk with room, from its beginning when nobody has its bytes any more; large ones once bodies are
 * known to be large. */
static struct chunk *
read_chunk(struct conn *c)
{
	if (c->rd && c->rd->refs == 1)
		c->rd->used = 0;
	if (c->rd && c->rd->cap - c->rd->used >= KEEP_ROOM && !(c->big && c->rd->cap < BUF_LARGE))
		return c->rd;
	chunk_unref(&c->rd);
	c->rd = chunk_new(c->big ? BUF_LARGE : BUF_SMALL);
	return c->rd;
}

void
conn_settle(struct conn *c)
{
	if (c->rd && c->rd->refs == 1)
		chunk_unref(&c->rd);
}

static void
count_read(struct conn *c, size_t n, size_t *budget)
{
	c->bytes_in += n;
	*budget -= n < *budget ? n : *budget;
}

static ssize_t
read_chunked(struct conn *c, size_t *budget)
{
	struct chunk *k = read_chunk(c);
	size_t room = k->cap - k->used;
	bool head = c->large && c->unseen == 0;
	ssize_t n;

	if (head && room > HEAD_ROOM)
		room = HEAD_ROOM;
	n = c->transport->read(c, k->data + k->used, room);
	if (n <= 0)
		return n;
	if (head)
		c->large = false;
	k->used += (uint32_t)n;
	buf_add_slice(&c->in, k, k->used - (uint32_t)n, (uint32_t)n);
	count_read(c, (size_t)n, budget);
	c->big = (size_t)n == room && !head;
	/* A short read empties the socket; with EPOLLRDHUP seen there is a FIN behind it. */
	if ((size_t)n < room && !c->eof && !c->transport->pending(c))
		c->readable = false;
	return n;
}

/* What leaves room in a pipe does not say that the socket is empty: it has a number of places, too. */
static ssize_t
read_piped(struct conn *c, struct chunk *k, size_t *budget)
{
	size_t most = c->unseen < PIPE_ROOM ? (size_t)c->unseen : PIPE_ROOM;
	ssize_t n = c->transport->read_pipe(c, k->pipe->wr, most);

	if (n > 0) {
		chunk_filled(k, (size_t)n);
		buf_add_slice(&c->in, k, 0, (uint32_t)n);
		count_read(c, (size_t)n, budget);
		c->unseen -= (uint64_t)n;
		c->big = false; /* the next message begins with a head again */
		c->large = true;
	}
	chunk_unref(&k);
	return n;
}

/* One read.  Gives false when nothing more is to be read now. */
static bool
read_some(struct conn *c, size_t *budget)
{
	bool unseen = c->unseen >= UNSEEN_MIN && c->transport->read_pipe;
	struct chunk *k = unseen ? chunk_piped() : NULL;
	ssize_t n = k ? read_piped(c, k, budget) : read_chunked(c, budget);

	if (n > 0)
		return true;
	if (n == 0) {
		c->readable = false;
		c->eof = true;
		return false;
	}
	if (errno == EINTR)
		return true;
	if (errno == EAGAIN || errno == EWOULDBLOCK) {
		c->readable = false;
		return false;
	}
	c->readable = false;
	end(c, CONN_REMOTE_RESET, errno);
	return false;
}

static bool
may_read(const struct conn *c)
{
	return c->readable && !c->paused && !c->closed && !c->connecting;
}

/* CLOSE_FLUSH under way: input is thrown away until the other side ends. */
static void
drain_input(struct conn *c)
{
	buf_drain(&c->in, c->in.len);
	if (c->eof && !c->readable && c->shut && buf_empty(&c->out))
		end(c, CONN_LOCAL_CLOSE, 0);
}

static void
tell_eof(struct conn *c)
{
	c->eof_told = true;
	c->events->on_eof(c->arg);
	if (!c->closed && c->shut && buf_empty(&c->out))
		end(c, CONN_REMOTE_CLOSE, 0);
}

/* FIN behind bytes that the owner does not want now: it will not hear of it by reading. */
static void
check_hangup(struct conn *c)
{
	if (!c->eof || !c->paused || c->closing || c->eof_told || c->hangup_told ||
	    c->events->on_hangup == NULL)
		return;
	c->hangup_told = true;
	c->events->on_hangup(c->arg);
}

static void
take_input(struct conn *c)
{
	if (c->closing)
		drain_input(c);
	else if (!buf_empty(&c->in))
		c->events->on_data(c->arg);
}

static void
read_turn(struct conn *c)
{
	size_t budget = CONN_BUDGET;

	while (budget && may_read(c) && read_some(c, &budget))
		take_input(c);
	if (c->closed)
		return;
	if (c->closing)
		drain_input(c);
	else if (c->eof && !c->readable && !c->eof_told)
		tell_eof(c);
	if (c->closed)
		return;
	if (buf_empty(&c->in))
		conn_settle(c);
	if (may_read(c))
		io_again(c->io, IO_READ);
}

/* ---- writing */

static void
check_low(struct conn *c)
{
	if (!c->above_high || c->out.len > c->high / 2)
		return;
	c->above_high = false;
	c->events->on_low(c->arg);
}

/* Once all is written. */
static bool
ends_at_once(const struct conn *c)
{
	return c->closing && (c->eof || c->last || c->linger_ms == 0);
}

static void
finish_shutdown(struct conn *c)
{
	if (!c->shut || !buf_empty(&c->out) || c->closed)
		return;
	if (ends_at_once(c) && !c->transport->says_goodbye) {
		end(c, CONN_LOCAL_CLOSE, 0);
		return;
	}
	c->transport->shutdown(c);
	if (ends_at_once(c))
		end(c, CONN_LOCAL_CLOSE, 0);
	else if (c->closing)
		timer_set(c->io->loop, &c->timer, c->linger_ms);
	else if (c->eof)
		end(c, CONN_REMOTE_CLOSE, 0);
}

/* Apart, so that one piece needs no room for others. */
static __attribute__((noinline)) ssize_t
write_pieces(struct conn *c, size_t *asked)
{
	struct iovec iov[IOV_BATCH];
	int cnt = buf_iov(&c->out, iov, IOV_BATCH);

	for (int i = 0; i < cnt; i++)
		*asked += iov[i].iov_len;
	return c->transport->writev(c, iov, cnt);
}

static inline ssize_t
write_memory(struct conn *c, const struct slice *first)
{
	size_t asked = 0;
	ssize_t n;

	if (c->out.count > 1) {
		n = write_pieces(c, &asked);
	} else {
		asked = first->len;
		n = c->transport->write(c, slice_data(first), asked);
	}
	if (n >= 0 && (size_t)n < asked)
		c->writable = false;
	return n;
}

/* Only a refusal says that the socket is full. */
static ssize_t
write_piped(struct conn *c, struct slice *s, struct pipe *p)
{
	ssize_t n = c->transport->write_pipe(c, p->rd, s->len);

	if (n > 0)
		slice_sent(s, (size_t)n);
	return n;
}

static inline ssize_t
write_some(struct conn *c)
{
	struct slice *s = buf_slice(&c->out, 0);
	struct pipe *p = NULL;

	if (UNLIKELY(slice_is_piped(s)) && c->transport->write_pipe)
		p = slice_pipe(s);
	return p ? write_piped(c, s, p) : write_memory(c, s);
}

static void
write_turn(struct conn *c)
{
	size_t before = c->out.len;

	while (c->writable && !buf_empty(&c->out)) {
		ssize_t n = write_some(c);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			c->writable = false;
			break;
		}
		if (n < 0) {
			end(c, CONN_REMOTE_RESET, errno);
			return;
		}
		buf_drain(&c->out, (size_t)n);
		c->bytes_out += (uint64_t)n;
	}
	if (before == c->out.len)
		return;
	if (c->events->on_written)
		c->events->on_written(c->arg, before - c->out.len);
	if (c->closed)
		return;
	check_low(c);
	finish_shutdown(c);
}

static void
on_flush(void *arg)
{
	struct conn *c = arg;

	if (!c->closed && !c->connecting)
		write_turn(c);
}

static void
check_high(struct conn *c)
{
	if (c->above_high || c->high == 0 || c->out.len <= c->high)
		return;
	c->above_high = true;
	c->events->on_high(c->arg);
}

void
conn_push(struct conn *c)
{
	flush_cancel(&c->flush);
	if (c->closed)
		return;
	check_high(c);
	on_flush(c);
}

void
conn_write(struct conn *c, struct buf *data)
{
	if (c->closed || c->shut) {
		buf_drain(data, data->len);
		return;
	}
	buf_move(&c->out, data);
	loop_flush(c->io->loop, &c->flush);
	check_high(c);
}

void
conn_shutdown_write(struct conn *c)
{
	if (c->closed || c->shut)
		return;
	c->shut = true;
	if (!c->connecting)
		finish_shutdown(c);
}

/* ---- opening */

static void
start(struct conn *c, struct io *io, int fd, const struct transport *t, uint32_t high,
    const struct conn_events *events, void *arg)
{
	memset(c, 0, sizeof(*c));
	c->io = io;
	c->fd = fd;
	c->transport = t;
	c->events = events;
	c->arg = arg;
	c->high = high;
	buf_init(&c->in);
	buf_init(&c->out);
	c->flush.fn = on_flush;
	c->flush.arg = c;
	c->look.fn = on_look;
	c->look.arg = c;
	timer_init(&c->timer, on_timer, c);
}

void
conn_open(struct conn *c, struct io *io, struct loop *l, int fd, const struct transport *t,
    uint32_t high, const struct conn_events *events, void *arg)
{
	start(c, io, fd, t, high, events, arg);
	io_add_edge(l, io, fd, on_io, c);
	c->writable = true;
}

void
conn_connect(struct conn *c, struct io *io, struct loop *l, int fd, const struct sockaddr *to,
    unsigned to_len, uint32_t timeout_ms, const struct transport *t, uint32_t high,
    const struct conn_events *events, void *arg)
{
	start(c, io, fd, t, high, events, arg);
	io_add_edge(l, io, fd, on_io, c);
	c->connecting = true;
	if (connect(fd, to, to_len) < 0 && errno != EINPROGRESS && errno != EAGAIN) {
		end(c, CONN_CONNECT_FAILED, errno);
		return;
	}
	if (timeout_ms)
		timer_set(l, &c->timer, timeout_ms);
}

static __attribute__((noinline)) void
finish_connect(struct conn *c)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		error = errno;
	if (error) {
		end(c, CONN_CONNECT_FAILED, error);
		return;
	}
	timer_stop(&c->timer);
	c->connecting = false;
	c->writable = true;
	c->events->on_connected(c->arg);
	if (!c->closed && !buf_empty(&c->out))
		loop_flush(c->io->loop, &c->flush);
}

static void
on_timer(void *arg)
{
	struct conn *c = arg;

	end(c, c->connecting ? CONN_CONNECT_TIMEOUT : CONN_LINGER_TIMEOUT, ETIMEDOUT);
}

/* ---- at rest */

bool
conn_at_rest(const struct conn *c)
{
	return c->writable && !c->readable && !c->eof && !c->closed && !c->closing && !c->shut &&
	       !c->paused && !c->io->again && !c->transport_data && buf_empty(&c->in) &&
	       buf_empty(&c->out);
}

void
conn_leave(struct conn *c, void (*fn)(void *arg, unsigned ready), void *arg)
{
	ASSERT(conn_at_rest(c));
	flush_cancel(&c->flush);
	flush_cancel(&c->look);
	free_buffers(c);
	c->closed = true;
	io_tell(c->io, fn, arg);
}

void
conn_join(struct conn *c, struct io *io, const struct transport *t, uint32_t high,
    const struct conn_events *events, void *arg)
{
	start(c, io, io_fd(io), t, high, events, arg);
	c->writable = true;
	io_tell(io, on_io, c);
}

/* ---- the loop's callback */

static void
on_io(void *arg, unsigned ready)
{
	struct conn *c = arg;

	if (c->connecting) {
		if (ready & (IO_WRITE | IO_CLOSED))
			finish_connect(c);
		if (c->closed || c->connecting)
			return;
	}
	if ((ready & IO_CLOSED) && !c->eof_told)
		c->eof = c->readable = true;
	if ((ready & IO_READ) && !c->eof_told)
		c->readable = c->read_since = true;
	if (ready & IO_WRITE) {
		c->writable = true;
		if (!buf_empty(&c->out))
			write_turn(c);
	}
	if (!c->closed && (ready & AGAIN_DATA) && !buf_empty(&c->in) && !c->paused && !c->closing)
		c->events->on_data(c->arg);
	if (!c->closed && c->readable)
		read_turn(c);
	if (!c->closed)
		check_hangup(c);
}

void
conn_told(struct conn *c, unsigned ready)
{
	on_io(c, ready);
}

void
conn_kick(struct conn *c)
{
	c->readable = true;
	read_turn(c);
}

void
conn_pause(struct conn *c)
{
	c->paused++;
}

void
conn_again(struct conn *c)
{
	unsigned what = (buf_empty(&c->in) ? 0 : AGAIN_DATA) | (c->readable ? IO_READ : 0u);

	if (!c->closed && what)
		io_again(c->io, what);
}

/* Who was read meanwhile has time until the next look. */
static void
on_look(void *arg)
{
	struct conn *c = arg;

	if (!c->read_since) {
		on_io(c, IO_READ);
		return;
	}
	c->read_since = false;
	loop_later(c->io->loop, &c->look);
}

void
conn_expect(struct conn *c)
{
	if (c->closed || c->readable || flush_is_ordered(&c->look))
		return;
	c->read_since = false;
	loop_later(c->io->loop, &c->look);
}

void
conn_resume(struct conn *c)
{
	ASSERT(c->paused > 0);
	if (--c->paused == 0)
		conn_again(c);
}

void
conn_close(struct conn *c, enum conn_close_how how, uint32_t linger_ms)
{
	if (c->closed)
		return;
	if (how == CLOSE_NOW || c->connecting) {
		end(c, CONN_LOCAL_CLOSE, 0);
		return;
	}
	if (c->closing)
		return;
	c->closing = true;
	c->last = how == CLOSE_LAST && !c->readable && buf_empty(&c->in);
	c->linger_ms = linger_ms;
	c->paused = 0;
	buf_drain(&c->in, c->in.len);
	if (!buf_empty(&c->out) && linger_ms) /* the peer must take what waits in time, too */
		timer_set(c->io->loop, &c->timer, linger_ms);
	if (c->readable)
		io_again(c->io, IO_READ);
	if (c->shut)
		finish_shutdown(c);
	else
		conn_shutdown_write(c);
}
