/* The child of a scripted control plane: HTTP/2 on one side, the scene on the other. */
#include "tests/harness/xds_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

struct connection {
	struct list node;
	struct server *server;
	int fd;
	nghttp2_session *session;
	struct strb out;
	bool gone;
};

struct stream {
	struct list node;
	struct connection *c; /* NULL: its connection is gone */
	int32_t id;
	unsigned number;
	char path[160];
	struct strb in, out;
	bool answered, ending;
	unsigned status;
};

struct server {
	int listener, scene;
	unsigned streams_n;
	struct list connections, streams;
};

static void
tell(struct server *sv, char kind, unsigned stream, const void *p, size_t n)
{
	struct strb b = {0};

	strb_addc(&b, kind);
	strb_add(&b, &stream, sizeof(stream));
	strb_add(&b, p, n);
	if (send(sv->scene, b.p, b.n, MSG_NOSIGNAL) < 0 && errno != EMSGSIZE)
		_exit(0); /* the scene is over */
	strb_fini(&b);
}

/* ---- what nghttp2 asks */

static ssize_t
read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	struct stream *s = source->ptr;
	size_t n = s->out.n < room ? s->out.n : room;
	char status[12];
	nghttp2_nv nv = {(uint8_t *)"grpc-status", (uint8_t *)status, 11, 0, 0};

	if (n) {
		memcpy(to, s->out.p, n);
		memmove(s->out.p, s->out.p + n, s->out.n - n);
		s->out.n -= n;
		return (ssize_t)n;
	}
	if (!s->ending)
		return NGHTTP2_ERR_DEFERRED;
	nv.valuelen = (size_t)snprintf(status, sizeof(status), "%u", s->status);
	*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
	nghttp2_submit_trailer(session, id, &nv, 1);
	return 0;
}

static struct stream *
stream_of(struct connection *c, int32_t id)
{
	return nghttp2_session_get_stream_user_data(c->session, id);
}

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *arg)
{
	struct connection *c = arg;
	struct stream *s = mem_new(struct stream);

	s->c = c;
	s->id = f->hd.stream_id;
	s->number = ++c->server->streams_n;
	list_push_back(&c->server->streams, &s->node);
	nghttp2_session_set_stream_user_data(session, s->id, s);
	return 0;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name, size_t name_n,
    const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
	struct stream *s = stream_of(arg, f->hd.stream_id);

	if (s && name_n == 5 && memcmp(name, ":path", 5) == 0)
		snprintf(s->path, sizeof(s->path), "%.*s", (int)value_n, value);
	return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *f, void *arg)
{
	struct connection *c = arg;
	struct stream *s;
	nghttp2_nv nv[] = {{(uint8_t *)":status", (uint8_t *)"200", 7, 3, 0},
	    {(uint8_t *)"content-type", (uint8_t *)"application/grpc", 12, 16, 0}};
	nghttp2_data_provider body = {.read_callback = read_body};

	if (f->hd.type != NGHTTP2_HEADERS || (s = stream_of(c, f->hd.stream_id)) == NULL ||
	    s->answered)
		return 0;
	s->answered = true;
	body.source.ptr = s;
	nghttp2_submit_response(session, s->id, nv, 2, &body);
	tell(c->server, 'O', s->number, s->path, strlen(s->path));
	return 0;
}

static int
on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct connection *c = arg;
	struct stream *s = stream_of(c, id);

	if (s == NULL)
		return 0;
	strb_add(&s->in, p, n);
	while (s->in.n >= 5) {
		const unsigned char *h = (const unsigned char *)s->in.p;
		size_t len = (size_t)h[1] << 24 | (size_t)h[2] << 16 | (size_t)h[3] << 8 | h[4];

		if (s->in.n < 5 + len)
			break;
		tell(c->server, 'M', s->number, s->in.p + 5, len);
		memmove(s->in.p, s->in.p + 5 + len, s->in.n - 5 - len);
		s->in.n -= 5 + len;
	}
	return 0;
}

static void
stream_end(struct server *sv, struct stream *s)
{
	tell(sv, 'C', s->number, "", 0);
	list_remove(&s->node);
	strb_fini(&s->in);
	strb_fini(&s->out);
	mem_free(s);
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct connection *c = arg;
	struct stream *s = stream_of(c, id);

	if (s) {
		nghttp2_session_set_stream_user_data(session, id, NULL);
		stream_end(c->server, s);
	}
	return 0;
}

/* ---- connections */

static void
accept_one(struct server *sv)
{
	nghttp2_settings_entry e = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20};
	nghttp2_session_callbacks *cb;
	struct connection *c;
	int fd = accept4(sv->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	c = mem_new(struct connection);
	c->server = sv;
	c->fd = fd;
	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_server_new(&c->session, cb, c);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(c->session, 0, &e, 1);
	list_push_back(&sv->connections, &c->node);
}

static void
connection_end(struct connection *c)
{
	list_for_each(n, &c->server->streams)
	{
		struct stream *s = list_entry(n, struct stream, node);

		if (s->c == c)
			stream_end(c->server, s);
	}
	list_remove(&c->node);
	nghttp2_session_del(c->session);
	close(c->fd);
	strb_fini(&c->out);
	mem_free(c);
}

static void
flush(struct connection *c)
{
	const uint8_t *p;
	ssize_t n;

	while (c->out.n < 1 << 20 && (n = nghttp2_session_mem_send(c->session, &p)) > 0)
		strb_add(&c->out, p, (size_t)n);
	if (c->out.n == 0)
		return;
	n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
	if (n < 0) {
		c->gone = errno != EAGAIN;
		return;
	}
	memmove(c->out.p, c->out.p + n, c->out.n - (size_t)n);
	c->out.n -= (size_t)n;
}

static void
read_from(struct connection *c)
{
	uint8_t bytes[65536];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		c->gone = true;
	else if (n > 0 && nghttp2_session_mem_recv(c->session, bytes, (size_t)n) < 0)
		c->gone = true;
}

/* ---- what the scene says */

static void
obey(struct server *sv)
{
	static char bytes[1 << 17];
	ssize_t n = recv(sv->scene, bytes, sizeof(bytes), 0);
	unsigned number;

	if (n <= 0)
		_exit(0);
	memcpy(&number, bytes + 1, sizeof(number));
	list_for_each(node, &sv->streams)
	{
		struct stream *s = list_entry(node, struct stream, node);

		if (s->number != number)
			continue;
		if (bytes[0] == 'D')
			strb_add(&s->out, bytes + 1 + sizeof(number), (size_t)n - 1 - sizeof(number));
		s->ending |= bytes[0] == 'E';
		if (bytes[0] == 'E')
			s->status = (unsigned char)bytes[1 + sizeof(number)];
		nghttp2_session_resume_data(s->c->session, s->id);
	}
}

static void
turn(struct server *sv)
{
	struct pollfd p[66] = {{.fd = sv->listener, .events = POLLIN}, {.fd = sv->scene, .events = POLLIN}};
	struct connection *at[66] = {0};
	unsigned n = 2;

	list_for_each(node, &sv->connections)
	{
		struct connection *c = list_entry(node, struct connection, node);

		if (n == 66)
			break;
		at[n] = c;
		p[n++] = (struct pollfd){.fd = c->fd, .events = POLLIN | (c->out.n ? POLLOUT : 0)};
	}
	if (poll(p, n, -1) < 0)
		return;
	if (p[0].revents)
		accept_one(sv);
	if (p[1].revents)
		obey(sv);
	for (unsigned i = 2; i < n; i++)
		if (p[i].revents & (POLLIN | POLLHUP | POLLERR))
			read_from(at[i]);
	list_for_each(m, &sv->connections)
	{
		struct connection *c = list_entry(m, struct connection, node);

		if (!c->gone)
			flush(c);
		if (c->gone)
			connection_end(c);
	}
}

void
xds_server_run(int listener, int scene)
{
	struct server sv = {.listener = listener, .scene = scene};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	list_init(&sv.connections);
	list_init(&sv.streams);
	for (;;)
		turn(&sv);
}
