/*
 * Bodies that are large enough to stay in the kernel (splice): every byte
 * arrives, in order and counted, and what goes wrong in the middle goes
 * wrong as with any other body.
 */
#include "tests/harness/scene.h"

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

#define LARGE 5000001

#define CONF_LARGE                                                                                 \
	CONF_ADMIN CONF_LISTENER_WITH("",                                                          \
	    "          access_log:\n"                                                              \
	    "          - name: envoy.access_loggers.file\n"                                        \
	    "            typed_config:\n"                                                          \
	    "              \"@type\": type.googleapis.com/"                                        \
	    "envoy.extensions.access_loggers.file.v3.FileAccessLog\n"                              \
	    "              path: \"@DIR@/access.log\"\n"                                           \
	    "              log_format: {text_format_source: {inline_string: "                      \
	    "\"%RESPONSE_CODE% in=%BYTES_RECEIVED% out=%BYTES_SENT% %RESPONSE_FLAGS%\\n\"}}\n",    \
	    "",                                                                                    \
	    "              - {match: {prefix: /stall}, route: {cluster: api, timeout: 1s}}\n"        \
	    "              - {match: {prefix: /again}, route: {cluster: api, retry_policy: "       \
	    "{retry_on: reset, num_retries: 3}}}\n"                                                \
	    "              - {match: {prefix: /}, route: {cluster: api, timeout: 0s}}\n")            \
	CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

static void
start(struct scene *sc)
{
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "1";
	sc->extra[2] = "--file-flush-interval-msec";
	sc->extra[3] = "20";
	scene_proxy(sc, CONF_LARGE);
}

/* How many pipes the worker has: it keeps those that bodies went through. */
static unsigned
pipes_of_worker(struct scene *sc)
{
	char path[64], link[512], target[32];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)scene_child(sc, "worker 1"));
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		ssize_t k;

		snprintf(link, sizeof(link), "%s/%s", path, e->d_name);
		k = readlink(link, target, sizeof(target) - 1);
		n += k > 5 && memcmp(target, "pipe:", 5) == 0;
	}
	closedir(d);
	return n;
}

static char
pattern(size_t i)
{
	return (char)(i + (i >> 8) * 7 + (i >> 16) * 13 + 7);
}

static char *
patterned(size_t n)
{
	char *body = mem_alloc(n + 1);

	for (size_t i = 0; i < n; i++)
		body[i] = pattern(i);
	return body;
}

static void
answers_arrive_byte_by_byte_and_are_counted(void **state)
{
	char *want = patterned(LARGE);
	unsigned pipes;
	struct scene sc;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	start(&sc);
	pipes = pipes_of_worker(&sc);
	fd = client_connect(sc.port);
	for (int i = 0; i < 3; i++) {
		struct reply r;

		client_send(fd, "GET /?size=5000001&seed=7 HTTP/1.1\r\nHost: a\r\n\r\n");
		r = client_reply(fd, false);
		assert_int_equal(r.status, 200);
		assert_true(r.complete);
		assert_int_equal(r.body_len, LARGE);
		assert_memory_equal(r.body, want, LARGE);
		reply_free(&r);
	}
	close(fd);
	mem_free(want);
	assert_true(pipes_of_worker(&sc) > pipes);
	WAIT_FOR(scene_file_has(&sc, "access.log", "200 in=0 out=5000001 -\n"));
	assert_stat(&sc, "cluster.api.upstream_cx_total", 1);
	assert_stat(&sc, "cluster.api.upstream_cx_rx_bytes_buffered", 0);
	assert_in_range(scene_stat(&sc, "cluster.api.upstream_cx_rx_bytes_total"), 3 * LARGE,
	    3 * LARGE + 3000);
	assert_in_range(scene_stat(&sc, "http.ingress.downstream_cx_tx_bytes_total"), 3 * LARGE,
	    3 * LARGE + 3000);
	scene_fini(&sc);
}

static uint64_t
hash_of(const char *p, size_t n)
{
	uint64_t h = 0xcbf29ce484222325ull;

	while (n--)
		h = (h ^ (unsigned char)*p++) * 0x100000001b3ull;
	return h;
}

/* The first on a new connection to the host, the second on a used one. */
static void
uploads_arrive_byte_by_byte_and_are_counted(void **state)
{
	char *body = patterned(LARGE), hash[32];
	unsigned pipes;
	struct scene sc;
	int fd;

	snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)hash_of(body, LARGE));
	scene_init(&sc);
	scene_origin(&sc, "one");
	start(&sc);
	pipes = pipes_of_worker(&sc);
	fd = client_connect(sc.port);
	for (int i = 0; i < 2; i++) {
		struct reply r;

		client_send(fd, "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5000001\r\n\r\n");
		client_send_n(fd, body, LARGE);
		client_send(fd, "GET /?size=3 HTTP/1.1\r\nHost: a\r\n\r\n"); /* right behind it */
		r = client_reply(fd, false);
		assert_int_equal(r.status, 200);
		assert_non_null(strstr(r.body, "5000001"));
		assert_non_null(strstr(r.body, hash));
		reply_free(&r);
		r = client_reply(fd, false);
		assert_int_equal(r.status, 200);
		assert_int_equal(r.body_len, 3);
		reply_free(&r);
	}
	close(fd);
	mem_free(body);
	assert_true(pipes_of_worker(&sc) > pipes);
	WAIT_FOR(scene_file_has(&sc, "access.log", "200 in=5000001 "));
	assert_in_range(scene_stat(&sc, "http.ingress.downstream_cx_rx_bytes_total"), 2 * LARGE,
	    2 * LARGE + 3000);
	assert_in_range(scene_stat(&sc, "cluster.api.upstream_cx_tx_bytes_total"), 2 * LARGE,
	    2 * LARGE + 3000);
	scene_fini(&sc);
}

/* Until the client says something more, or leaves. */
static void
await_client(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	poll(&p, 1, -1);
}

/* Promises a million bytes and resets the connection after 600,000. */
static void
resets_in_the_middle(int fd, unsigned n, void *arg)
{
	struct linger now = {.l_onoff = 1};
	char part[4096], *body = patterned(600000);

	if (read(fd, part, sizeof(part)) > 0) {
		client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
		client_send_n(fd, body, 600000);
		await_client(fd); /* it has it all then */
	}
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	mem_free(body);
}

/* Reads until `want` bytes of a body came. */
static void
read_pattern(int fd, size_t want)
{
	char part[65536];
	size_t head = 0, got = 0;
	ssize_t n;

	while (head == 0) { /* one byte at a time: it is short */
		static const char end[] = "\r\n\r\n";
		unsigned at = 0;

		while (at < 4) {
			assert_int_equal(read(fd, part, 1), 1);
			at = part[0] == end[at] ? at + 1 : part[0] == '\r';
		}
		head = 1;
	}
	while (got < want) {
		n = read(fd, part, want - got < sizeof(part) ? want - got : sizeof(part));
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(part[i], pattern(got + (size_t)i));
		got += (size_t)n;
	}
}

static void
a_host_that_goes_in_the_middle_ends_the_answer_there(void **state)
{
	struct scene sc;
	pid_t host;
	int fd;

	scene_init(&sc);
	host = sc.host_pid[scene_host(&sc, resets_in_the_middle, NULL)];
	start(&sc);
	fd = client_connect(sc.port);
	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	read_pattern(fd, 600000);
	kill(host, SIGKILL);
	assert_true(client_closed(fd));
	close(fd);
	WAIT_FOR(scene_file_has(&sc, "access.log", "200 in=0 out=600000 U"));
	assert_stat(&sc, "cluster.api.upstream_rq_active", 0);
	assert_stat(&sc, "cluster.api.upstream_cx_active", 0);
	assert_stat(&sc, "http.ingress.downstream_rq_active", 0);
	scene_fini(&sc);
}

/* The client takes nothing for so long that a pipe and all buffers are full, and goes. */
static void
a_client_that_goes_in_the_middle_costs_only_its_own_request(void **state)
{
	struct linger now = {.l_onoff = 1};
	struct scene sc;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	start(&sc);
	for (int i = 0; i < 5; i++) {
		fd = client_connect(sc.port);
		client_send(fd, "GET /?size=90000000&seed=7 HTTP/1.1\r\nHost: a\r\n\r\n");
		read_pattern(fd, 1000000);
		scene_wait_stat(&sc, "cluster.api.upstream_flow_control_paused_reading_total", i + 1);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(fd);
		scene_wait_stat(&sc, "http.ingress.downstream_rq_rx_reset", i + 1);
	}
	assert_stat(&sc, "http.ingress.downstream_rq_active", 0);
	assert_stat(&sc, "cluster.api.upstream_rq_active", 0);
	assert_stat(&sc, "cluster.api.upstream_cx_rx_bytes_buffered", 0);
	assert_int_equal(scene_status(&sc, "/?size=1000000"), 200);
	scene_fini(&sc);
}

/* More clients than there are pipes, and none of them reads: the others' bodies are copied. */
static void
when_all_pipes_are_taken_bodies_are_copied(void **state)
{
	enum { CLIENTS = 70 };
	struct scene sc;
	int fds[CLIENTS];

	scene_init(&sc);
	scene_origin(&sc, "one");
	start(&sc);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = client_connect(sc.port);
		client_send(fds[i], i % 10 == 9 ? "GET /?size=20000000&seed=7 HTTP/1.1\r\nHost: a\r\n\r\n"
						: "GET /?size=20000000 HTTP/1.1\r\nHost: a\r\n\r\n");
	}
	scene_wait_stat(&sc, "cluster.api.upstream_flow_control_paused_reading_total", CLIENTS);
	assert_in_range(pipes_of_worker(&sc), 2, 150);
	for (int i = 9; i < CLIENTS; i += 10)
		read_pattern(fds[i], 3000000);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	WAIT_FOR(scene_stat(&sc, "http.ingress.downstream_rq_active") == 0);
	assert_int_equal(scene_status(&sc, "/?size=1000000"), 200);
	scene_fini(&sc);
}

/* Takes all of it only the third time; the head is there when the proxy's first bytes are. */
static void
resets_twice(int fd, unsigned n, void *arg)
{
	struct linger now = {.l_onoff = 1};
	char *all = mem_alloc(400001), *body;
	size_t got = 0, good = 0;
	ssize_t k;

	while (n < 2 && got < 100000 && (k = read(fd, all, 50000)) > 0)
		got += (size_t)k;
	if (n < 2) {
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		mem_free(all);
		return;
	}
	while ((body = strstr(all, "\r\n\r\n")) == NULL || got < 300000 + (size_t)(body + 4 - all)) {
		k = read(fd, all + got, 400000 - got);
		if (k <= 0)
			break;
		got += (size_t)k;
	}
	while (body && good < 300000 && body[4 + good] == pattern(good))
		good++;
	client_send(fd, good == 300000 ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
				       : "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
	mem_free(all);
}

static void
an_upload_is_sent_again_whole(void **state)
{
	char *body = patterned(300000);
	struct scene sc;
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_host(&sc, resets_twice, NULL);
	start(&sc);
	fd = client_connect(sc.port);
	client_send(fd, "POST /again HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
	client_send_n(fd, body, 300000);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	close(fd);
	mem_free(body);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 2);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_success", 1);
	WAIT_FOR(scene_file_has(&sc, "access.log", "200 in=300000 "));
	scene_fini(&sc);
}

static void
stalls_in_the_middle(int fd, unsigned n, void *arg)
{
	struct pollfd proxy = {.fd = fd, .events = POLLRDHUP};
	char part[4096], *body = patterned(600000);

	if (read(fd, part, sizeof(part)) > 0) {
		client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
		client_send_n(fd, body, 600000);
		poll(&proxy, 1, SCENE_PATIENCE_MS);
	}
	mem_free(body);
}

static void
a_host_that_stalls_in_the_middle_meets_the_timeout(void **state)
{
	struct scene sc;
	int fd;

	scene_init(&sc);
	scene_host(&sc, stalls_in_the_middle, NULL);
	start(&sc);
	fd = client_connect(sc.port);
	client_send(fd, "GET /stall HTTP/1.1\r\nHost: a\r\n\r\n");
	read_pattern(fd, 600000);
	assert_true(client_closed(fd));
	close(fd);
	assert_stat(&sc, "cluster.api.upstream_rq_timeout", 1);
	WAIT_FOR(scene_file_has(&sc, "access.log", "200 in=0 out=600000 UT"));
	assert_stat(&sc, "cluster.api.upstream_cx_active", 0);
	scene_fini(&sc);
}

/* One byte more than the length: it belongs to no answer, and the connection to nobody. */
static void
says_too_much(int fd, unsigned n, void *arg)
{
	char part[4096], *body = patterned(400001);

	if (read(fd, part, sizeof(part)) > 0) {
		client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n");
		client_send_n(fd, body, 400001);
		await_client(fd);
	}
	mem_free(body);
}

static void
a_byte_behind_the_length_is_nobodys(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_host(&sc, says_too_much, NULL);
	start(&sc);
	for (int i = 0; i < 3; i++) {
		struct reply r = scene_get(&sc, "/");

		assert_int_equal(r.status, 200);
		assert_int_equal(r.body_len, 400000);
		assert_int_equal(r.body[399999], pattern(399999));
		reply_free(&r);
	}
	assert_stat(&sc, "cluster.api.upstream_cx_total", 3);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_arrive_byte_by_byte_and_are_counted),
	    cmocka_unit_test(uploads_arrive_byte_by_byte_and_are_counted),
	    cmocka_unit_test(a_host_that_goes_in_the_middle_ends_the_answer_there),
	    cmocka_unit_test(a_client_that_goes_in_the_middle_costs_only_its_own_request),
	    cmocka_unit_test(when_all_pipes_are_taken_bodies_are_copied),
	    cmocka_unit_test(a_host_that_stalls_in_the_middle_meets_the_timeout),
	    cmocka_unit_test(an_upload_is_sent_again_whole),
	    cmocka_unit_test(a_byte_behind_the_length_is_nobodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
