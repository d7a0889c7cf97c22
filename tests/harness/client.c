/* A blocking HTTP/1.1 client that reads slowly and believes little, and what scenes ask with it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "tests/harness/scene.h"

int
client_connect(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

void
client_send_n(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k <= 0)
			return; /* the answer tells */
		p += k;
		n -= (size_t)k;
	}
}

void
client_send(int fd, const char *bytes)
{
	client_send_n(fd, bytes, strlen(bytes));
}

void
client_get(int fd, const char *path)
{
	char *request = mem_printf("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);

	client_send(fd, request);
	mem_free(request);
}

/* At most n bytes; 0 at the end, on a reset, or when patience ends. */
static size_t
read_some(int fd, char *p, size_t n)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	ssize_t k;

	if (poll(&pfd, 1, SCENE_PATIENCE_MS) != 1)
		return 0;
	k = recv(fd, p, n, 0);
	return k > 0 ? (size_t)k : 0;
}

bool
client_closed(int fd)
{
	char c;

	return read_some(fd, &c, 1) == 0;
}

static bool
read_head(int fd, struct strb *b)
{
	char c;

	while (b->n < 4 || memcmp(b->p + b->n - 4, "\r\n\r\n", 4) != 0) {
		if (read_some(fd, &c, 1) != 1)
			return false;
		strb_addc(b, c);
	}
	return true;
}

static bool
read_exactly(int fd, struct strb *b, size_t n)
{
	char part[65536];

	while (n) {
		size_t k = read_some(fd, part, n < sizeof(part) ? n : sizeof(part));

		if (k == 0)
			return false;
		strb_add(b, part, k);
		n -= k;
	}
	return true;
}

static bool
read_line(int fd, struct strb *b)
{
	char c;

	strb_reset(b);
	for (;;) {
		if (read_some(fd, &c, 1) != 1)
			return false;
		if (c == '\n')
			return true;
		strb_addc(b, c);
	}
}

static bool
read_chunked(int fd, struct strb *body)
{
	struct strb line = {0};
	bool ok = false;

	while (read_line(fd, &line)) {
		size_t n = strtoul(strb_z(&line), NULL, 16);

		if (n == 0) {
			while ((ok = read_line(fd, &line)) && line.n > 1)
				;
			break;
		}
		if (!read_exactly(fd, body, n) || !read_line(fd, &line))
			break;
	}
	strb_fini(&line);
	return ok;
}

bool
scene_host_is(struct scene *sc, unsigned host, const char *flags)
{
	struct reply r = scene_admin(sc, "GET", "/clusters");
	char line[128];
	bool there;

	snprintf(line, sizeof(line), "api::127.0.0.1:%u::health_flags::%s\n", sc->host_port[host],
	    flags);
	there = strstr(r.body, line) != NULL;
	reply_free(&r);
	return there;
}

const char *
reply_header(const struct reply *r, const char *name)
{
	static char value[4096];
	size_t n = strlen(name);
	const char *line = r->head;

	while (line && (line = strchr(line, '\n')) != NULL) {
		line++;
		if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
			const char *v = line + n + 1;

			v += strspn(v, " ");
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(v, "\r\n"), v);
			return value;
		}
	}
	return NULL;
}

struct reply
client_reply(int fd, bool head)
{
	struct reply r = {0};
	struct strb h = {0}, body = {0};
	const char *te, *cl;

	do {
		strb_reset(&h);
		if (!read_head(fd, &h) || sscanf(h.p, "HTTP/1.%*d %d", &r.status) != 1) {
			r.status = 0;
			break;
		}
	} while (r.status >= 100 && r.status < 200 && r.status != 101);
	r.head = strb_give(&h);
	if (r.status == 0)
		return r;
	te = reply_header(&r, "transfer-encoding");
	if (head || r.status == 204 || r.status == 304 || r.status == 101) {
		r.complete = true;
	} else if (te) {
		r.complete = read_chunked(fd, &body);
	} else if ((cl = reply_header(&r, "content-length")) != NULL) {
		r.complete = read_exactly(fd, &body, strtoul(cl, NULL, 10));
	} else {
		char part[65536];
		size_t k;

		while ((k = read_some(fd, part, sizeof(part))) > 0)
			strb_add(&body, part, k);
		r.complete = r.closed = true;
	}
	r.body_len = body.n;
	r.body = strb_give(&body);
	return r;
}

void
reply_free(struct reply *r)
{
	mem_free(r->head);
	mem_free(r->body);
	memset(r, 0, sizeof(*r));
}

struct reply
scene_request(struct scene *sc, uint16_t port, const char *method, const char *path,
    const char *headers, const char *body)
{
	struct reply r = {0};
	struct strb b = {0};
	int fd = client_connect(port);

	if (fd < 0)
		return r;
	strb_printf(&b, "%s %s HTTP/1.1\r\nHost: localhost:%u\r\n%s", method, path, port, headers);
	if (body)
		strb_printf(&b, "Content-Length: %zu\r\n", strlen(body));
	strb_addz(&b, "\r\n");
	if (body)
		strb_addz(&b, body);
	client_send_n(fd, b.p, b.n);
	strb_fini(&b);
	r = client_reply(fd, strcmp(method, "HEAD") == 0);
	close(fd);
	return r;
}

struct reply
scene_get(struct scene *sc, const char *path)
{
	return scene_request(sc, sc->port, "GET", path, "", NULL);
}

struct reply
scene_admin(struct scene *sc, const char *method, const char *path)
{
	return scene_request(sc, sc->admin_port, method, path, "", NULL);
}

int
scene_status(struct scene *sc, const char *path)
{
	struct reply r = scene_get(sc, path);
	int status = r.status;

	reply_free(&r);
	return status;
}

int
scene_admin_status(struct scene *sc, const char *method, const char *path)
{
	struct reply r = scene_admin(sc, method, path);
	int status = r.status;

	reply_free(&r);
	return status;
}

/* ---- numbers */

int64_t
scene_stat(struct scene *sc, const char *name)
{
	struct reply r = scene_admin(sc, "GET", "/stats");
	size_t n = strlen(name);
	int64_t value = -1;

	for (const char *line = r.body; line && *line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, name, n) == 0 && line[n] == ':') {
			value = strtoll(line + n + 1, NULL, 10);
			break;
		}
	}
	reply_free(&r);
	return value;
}

void
scene_wait_stat(struct scene *sc, const char *name, int64_t at_least)
{
	WAIT_FOR(scene_stat(sc, name) >= at_least);
}

void
assert_stat_(struct scene *sc, const char *name, int64_t want, const char *file, int line)
{
	uint64_t until = scene_now_ms() + 3000;
	int64_t got;

	/* A number may be counted a turn after the answer was seen. */
	while ((got = scene_stat(sc, name)) != want && scene_now_ms() < until)
		scene_pause();
	if (got == want)
		return;
	print_error("%s is %lld, not %lld\n", name, (long long)got, (long long)want);
	_fail(file, line);
}
