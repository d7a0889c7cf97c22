#include "tests/harness/xds.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/harness/xds_server.h"

#define PIECE 32768

/* ---- life */

static int
listen_on(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	getsockname(fd, (struct sockaddr *)&a, &n);
	*port = ntohs(a.sin_port);
	return fd;
}

static void
fork_server(struct plane *p)
{
	int listener = listen_on(&p->sc->host_port[p->host]), pair[2], room = 1 << 20;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(pair[0]);
		xds_server_run(listener, pair[1]);
	}
	close(listener);
	close(pair[1]);
	p->fd = pair[0];
	p->sc->host_pid[p->host] = pid;
}

void
plane_start(struct scene *sc, struct plane *p)
{
	*p = (struct plane){.sc = sc, .host = sc->hosts++};
	sc->host_port[p->host] = 0;
	fork_server(p);
}

void
plane_kill(struct plane *p)
{
	scene_host_stop(p->sc, p->host);
	close(p->fd);
	p->fd = -1;
}

void
plane_restart(struct plane *p)
{
	if (p->fd >= 0)
		plane_kill(p);
	fork_server(p);
}

/* ---- protobuf by hand */

static void
put_varint(struct strb *out, uint64_t v)
{
	for (; v > 127; v >>= 7)
		strb_addc(out, (char)(v | 0x80));
	strb_addc(out, (char)v);
}

void
pb_number(struct strb *out, unsigned field, uint64_t v)
{
	put_varint(out, field << 3);
	put_varint(out, v);
}

void
pb_bytes(struct strb *out, unsigned field, const void *p, size_t n)
{
	put_varint(out, field << 3 | 2);
	put_varint(out, n);
	strb_add(out, p, n);
}

void
pb_text(struct strb *out, unsigned field, const char *z)
{
	pb_bytes(out, field, z, strlen(z));
}

void
pb_message(struct strb *out, unsigned field, struct strb *inner)
{
	pb_bytes(out, field, strb_z(inner), inner->n);
	strb_fini(inner);
}

static uint64_t
get_varint(struct str *s)
{
	uint64_t v = 0;

	for (unsigned shift = 0; s->n && shift < 64; shift += 7) {
		unsigned char c = (unsigned char)*s->p;

		s->p++;
		s->n--;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			break;
	}
	return v;
}

/* The next field: its number, or 0 at the end; bytes of a message or text, else *v. */
static unsigned
get_field(struct str *s, struct str *bytes, uint64_t *v)
{
	uint64_t tag;

	if (s->n == 0)
		return 0;
	tag = get_varint(s);
	*v = get_varint(s);
	*bytes = str_make(s->p, 0);
	if ((tag & 7) == 2) {
		assert_true(*v <= s->n);
		*bytes = str_make(s->p, *v);
		s->p += *v;
		s->n -= *v;
	}
	return (unsigned)(tag >> 3);
}

#define KEEP(to, from) snprintf((to), sizeof(to), STR_FMT, STR_ARG(from))

static void
read_node(struct plane_request *r, struct str s)
{
	struct str b;
	uint64_t v;
	unsigned f;

	r->has_node = true;
	while ((f = get_field(&s, &b, &v)) != 0) {
		if (f == 1)
			KEEP(r->node_id, b);
		else if (f == 2)
			KEEP(r->node_cluster, b);
		else if (f == 6)
			KEEP(r->user_agent, b);
	}
}

static void
read_error(struct plane_request *r, struct str s)
{
	struct str b;
	uint64_t v;
	unsigned f;

	r->has_error = true;
	while ((f = get_field(&s, &b, &v)) != 0) {
		if (f == 1)
			r->error_code = (int)v;
		else if (f == 2)
			KEEP(r->error, b);
	}
}

static void
read_request(struct plane_request *r, struct str s)
{
	struct str b;
	uint64_t v;
	unsigned f;

	while ((f = get_field(&s, &b, &v)) != 0) {
		size_t n = strlen(r->names);

		if (f == 1)
			KEEP(r->version, b);
		else if (f == 2)
			read_node(r, b);
		else if (f == 3)
			snprintf(r->names + n, sizeof(r->names) - n, "%s" STR_FMT, n ? "," : "", STR_ARG(b));
		else if (f == 4)
			KEEP(r->type_url, b);
		else if (f == 5)
			KEEP(r->nonce, b);
		else if (f == 6)
			read_error(r, b);
	}
}

/* ---- what comes */

static bool
has_packet(struct plane *p, int ms)
{
	struct pollfd f = {.fd = p->fd, .events = POLLIN};

	return poll(&f, 1, ms) > 0;
}

/* Reads one packet; true when it was a request. */
static bool
read_packet(struct plane *p, struct plane_request *r)
{
	static char bytes[1 << 20], path[160];
	ssize_t n = recv(p->fd, bytes, sizeof(bytes), 0);

	assert_true(n >= 5);
	if (bytes[0] == 'C')
		memcpy(&p->closed, bytes + 1, sizeof(p->closed));
	if (bytes[0] == 'O')
		snprintf(path, sizeof(path), "%.*s", (int)(n - 5), bytes + 5);
	if (bytes[0] != 'M')
		return false;
	*r = (struct plane_request){0};
	memcpy(&r->stream, bytes + 1, sizeof(r->stream));
	snprintf(r->path, sizeof(r->path), "%s", path);
	read_request(r, str_make(bytes + 5, (size_t)n - 5));
	return true;
}

void
plane_next(struct plane *p, struct plane_request *r)
{
	uint64_t until = scene_now_ms() + SCENE_PATIENCE_MS;

	while (scene_now_ms() < until)
		if (has_packet(p, 100) && read_packet(p, r))
			return;
	fail_msg("no request came to the control plane");
}

void
plane_wait(struct plane *p, struct plane_request *r, const char *version, const char *nonce)
{
	do
		plane_next(p, r);
	while (strcmp(r->version, version) != 0 || strcmp(r->nonce, nonce) != 0);
}

void
plane_wait_closed(struct plane *p, unsigned stream)
{
	uint64_t until = scene_now_ms() + SCENE_PATIENCE_MS;
	struct plane_request r;

	while (p->closed != stream && scene_now_ms() < until)
		if (has_packet(p, 100))
			read_packet(p, &r);
	assert_int_equal(p->closed, stream);
}

bool
plane_is_quiet(struct plane *p, unsigned ms)
{
	uint64_t until = scene_now_ms() + ms;
	struct plane_request r;

	while (scene_now_ms() < until)
		if (has_packet(p, 10) && read_packet(p, &r))
			return false;
	return true;
}

/* ---- what goes */

static void
send_packet(struct plane *p, char kind, unsigned stream, const void *bytes, size_t n)
{
	struct strb b = {0};

	strb_addc(&b, kind);
	strb_add(&b, &stream, sizeof(stream));
	strb_add(&b, bytes, n);
	assert_true(send(p->fd, b.p, b.n, MSG_NOSIGNAL) == (ssize_t)b.n);
	strb_fini(&b);
}

void
plane_send_raw(struct plane *p, unsigned stream, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i += PIECE)
		send_packet(p, 'D', stream, (const char *)bytes + i, n - i < PIECE ? n - i : PIECE);
}

void
plane_send(struct plane *p, unsigned stream, const struct strb *m)
{
	uint32_t n = htonl((uint32_t)m->n);
	struct strb b = {0};

	strb_addc(&b, 0);
	strb_add(&b, &n, sizeof(n));
	strb_add(&b, strb_z(m), m->n);
	plane_send_raw(p, stream, b.p, b.n);
	strb_fini(&b);
}

void
plane_end(struct plane *p, unsigned stream, unsigned status)
{
	char byte = (char)status;

	send_packet(p, 'E', stream, &byte, 1);
}

/* ---- messages */

void
plane_assignment(struct strb *out, const char *name, const uint16_t *ports, unsigned n)
{
	struct strb locality = {0};

	pb_text(out, 1, name);
	for (unsigned i = 0; i < n; i++) {
		struct strb socket = {0}, address = {0}, endpoint = {0}, lb = {0};

		pb_text(&socket, 2, "127.0.0.1");
		pb_number(&socket, 3, ports[i]);
		pb_message(&address, 1, &socket);
		pb_message(&endpoint, 1, &address);
		pb_message(&lb, 1, &endpoint);
		pb_message(&locality, 2, &lb);
	}
	pb_message(out, 2, &locality);
}

void
plane_add(struct strb *response, const char *type_url, struct strb *resource)
{
	struct strb any = {0};

	pb_text(&any, 1, type_url);
	pb_message(&any, 2, resource);
	pb_message(response, 2, &any);
}

void
plane_head(struct strb *response, const char *version, const char *type_url, const char *nonce)
{
	pb_text(response, 1, version);
	pb_text(response, 4, type_url);
	pb_text(response, 5, nonce);
}

void
plane_members(struct plane *p, unsigned stream, const char *version, const char *nonce,
    const char *name, const uint16_t *ports, unsigned n)
{
	struct strb response = {0}, assignment = {0};

	plane_head(&response, version, PLANE_EDS_URL, nonce);
	plane_assignment(&assignment, name, ports, n);
	plane_add(&response, PLANE_EDS_URL, &assignment);
	plane_send(p, stream, &response);
	strb_fini(&response);
}
