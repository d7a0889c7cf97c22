/*
 * The control socket among processes of the same user that misuse it: whoever asks is answered.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/base/mem.h"
#include "lib/ipc/control.h"
#include "tests/harness/configs.h"
#include "tests/harness/generations.h"

#define MANY 200

static void
serve(struct scene *sc)
{
	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "1";
	scene_proxy(sc, CONF_SIMPLE);
}

/* Blocks while the queue is full. */
static int
connect_to_control(struct scene *sc)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/0/control.sock", sc->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static void
close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

static void
connections_that_ask_nothing_keep_nobody_from_asking(void **state)
{
	struct scene sc;
	int fds[2 * MANY];

	serve(&sc);
	for (unsigned i = 0; i < MANY; i++)
		fds[i] = connect_to_control(&sc);
	expect_tool(&sc, 0, "serving", "batonctl", WORDS("ps"));
	assert_int_equal(generation_restart(&sc), 0); /* its hello comes by the same door */
	expect_tool(&sc, 0, "epoch 1", "batonctl", WORDS("ps"));
	kill(sc.proxy, SIGKILL);
	scene_wait_exit(&sc);
	for (unsigned i = MANY; i < 2 * MANY; i++) /* and to its orphans */
		fds[i] = connect_to_control(&sc);
	expect_tool(&sc, 0, "worker 1   pid", "batonctl", WORDS("ps"));
	expect_tool(&sc, 0, "admin      pid", "batonctl", WORDS("ps"));
	expect_tool(&sc, 0, "\"role\":\"worker\"", "batonctl", WORDS("ps", "--json"));
	close_all(fds, 2 * MANY);
	scene_fini(&sc);
}

static int
ask(struct scene *sc, const char *command)
{
	struct control_request r = {.n = 1, .words = {str_of(command)}};
	struct strb packet = {0};
	int fd = connect_to_control(sc);

	control_request_write(&packet, &r);
	assert_int_equal(send(fd, packet.p, packet.n, 0), packet.n);
	strb_fini(&packet);
	return fd;
}

static void
too_many_who_wait_are_told_so(void **state)
{
	struct scene sc;
	int fds[64];
	pid_t admin;

	serve(&sc);
	admin = scene_child(&sc, "admin");
	kill(admin, SIGSTOP); /* it answers nobody */
	for (unsigned i = 0; i < 64; i++)
		fds[i] = ask(&sc, "reload");
	expect_tool(&sc, 3, "too many wait for an answer already", "batonctl", WORDS("reload"));
	expect_tool(&sc, 0, "serving", "batonctl", WORDS("ps"));
	close_all(fds, 64);
	kill(admin, SIGCONT);
	WAIT_FOR(ctl_says(&sc, "nothing changed", WORDS("reload")));
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(connections_that_ask_nothing_keep_nobody_from_asking),
	    cmocka_unit_test(too_many_who_wait_are_told_so),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
