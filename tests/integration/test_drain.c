/*
 * What a draining generation holds, for how long, and what becomes of the rest: deadlines by kind,
 * the record of what they cut, how many generations may drain, and the graceful end.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"
#include "tests/harness/generations.h"

#define UPGRADES                                                                                   \
	CONF_ADMIN CONF_LISTENER_WITH(                                                             \
	    "", "          upgrade_configs: [{upgrade_type: websocket}]\n", "", CONF_ROUTE_ALL)    \
	CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

static void
serve(struct scene *sc, const char *const *options)
{
	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "1";
	for (unsigned i = 0; options[i]; i++)
		sc->extra[2 + i] = options[i];
	scene_proxy(sc, UPGRADES);
}

/* ---- clients that stay */

static int
slow_h1(struct scene *sc, const char *path)
{
	char *request = mem_printf("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	int fd = client_connect(sc->port);

	client_send(fd, request);
	mem_free(request);
	return fd;
}

/* Preface, SETTINGS, and GET /?delay_ms=60000 on stream 1. */
static int
slow_h2(struct scene *sc)
{
	static const char path[] = "/?delay_ms=60000";
	char frame[64] = {0, 0, 0, 1, 5, 0, 0, 0, 1, (char)0x82, (char)0x86, 1, 1, 'a', 4,
	    sizeof(path) - 1};
	int fd = client_connect(sc->port);

	client_send_n(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
	memcpy(frame + 16, path, sizeof(path) - 1);
	frame[2] = (char)(7 + sizeof(path) - 1);
	client_send_n(fd, frame, 9 + 7 + sizeof(path) - 1);
	return fd;
}

static int
open_websocket(struct scene *sc)
{
	int fd = client_connect(sc->port);
	struct reply r;

	client_send(fd, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	r = client_reply(fd, true);
	assert_int_equal(r.status, 101);
	reply_free(&r);
	return fd;
}

static void
assert_echo(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char got[4];

	client_send_n(fd, "\x81\x82\0\0\0\0hi", 8);
	assert_int_equal(poll(&p, 1, SCENE_PATIENCE_MS), 1);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), sizeof(got));
	assert_memory_equal(got, "\x81\x02hi", 4);
}

/* ---- scenes */

static void
each_kind_is_cut_at_its_own_deadline(void **state)
{
	struct scene sc;
	pid_t first;
	int h1, h2, ws;

	serve(&sc, WORDS("--drain-deadline", "h1=1", "--drain-deadline", "h2=2", "--drain-deadline",
		       "websocket=600"));
	first = sc.proxy;
	h1 = slow_h1(&sc, "/?delay_ms=60000");
	h2 = slow_h2(&sc);
	ws = open_websocket(&sc);
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 3);
	assert_int_equal(generation_restart(&sc), 0);
	scene_wait_stat(&sc, "baton.cx_cut_at_deadline", 1);
	assert_true(client_closed(h1));
	scene_wait_stat(&sc, "baton.cx_cut_at_deadline", 2);
	expect_tool(&sc, 0, "h1 from 127.0.0.1:", "batonstat", WORDS("--failures"));
	scene_wait_log(&sc, "is cut, h1 from 127.0.0.1:");
	scene_wait_log(&sc, "is cut, h2 from 127.0.0.1:");
	assert_echo(ws);
	assert_false(generation_is_gone(first));
	close(h1);
	close(h2);
	close(ws);
	WAIT_FOR(generation_is_gone(first));
	scene_wait_stat(&sc, "baton.generations", 1);
	assert_stat(&sc, "baton.cx_cut_at_deadline", 2);
	/* The record outlives the generation that wrote it. */
	expect_tool(&sc, 0, " cut ", "batonstat", WORDS("--failures"));
	expect_tool(&sc, 0, "a request is under way", "batonstat", WORDS("--failures"));
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_kind_is_cut_at_its_own_deadline),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
