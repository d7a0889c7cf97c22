/* The service manager's datagrams: which address, what is in them, who may send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/notify.h"

/* Somebody who listens at this address, as NOTIFY_SOCKET writes it. */
static int
listen_at(const char *name)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(un.sun_path, name, n);
	if (name[0] == '@')
		un.sun_path[0] = '\0';
	else
		unlink(name);
	assert_int_equal(bind(fd, (struct sockaddr *)&un,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
	    0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void
assert_heard(int fd, const char *want)
{
	char got[256];
	ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, want);
}

static void
a_path_and_an_abstract_name_are_heard(void **state)
{
	char path[64], name[64];
	const char *const names[] = {path, name};

	snprintf(path, sizeof(path), "/tmp/baton-test-notify-%d", (int)getpid());
	snprintf(name, sizeof(name), "@baton-test-notify-%d", (int)getpid());
	for (int i = 0; i < 2; i++) {
		int fd = listen_at(names[i]);
		struct notify n;

		notify_open(&n);
		assert_true(notify_send(&n, STR("READY=1\n")));
		assert_heard(fd, "READY=1\n");
		notify_close(&n);
		close(fd);
	}
	unlink(path);
}

static void
nothing_happens_where_nobody_listens(void **state)
{
	static const char *const names[] = {"", "x", "@", "/tmp/baton-test-nobody",
	    "/a-path-that-is-longer-than-an-address-of-this-kind-may-be-and-so-cannot-be-meant-by-"
	    "anybody-"
	    "who-knows-it-well"};
	struct notify n;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		notify_open(&n);
		assert_int_equal(notify_send(&n, STR("READY=1\n")), n.fd < 0);
		notify_close(&n);
	}
	unsetenv("NOTIFY_SOCKET");
	notify_open(&n);
	assert_int_equal(n.fd, -1);
	assert_true(notify_send(&n, STR("READY=1\n")));
}

static void
a_full_queue_is_told(void **state)
{
	char name[64];
	struct notify n;
	int fd, sent = 0;

	snprintf(name, sizeof(name), "@baton-test-full-%d", (int)getpid());
	fd = listen_at(name);
	notify_open(&n);
	while (sent < 100000 && notify_send(&n, STR("WATCHDOG=1\n")))
		sent++;
	assert_true(sent > 0 && sent < 100000);
	assert_heard(fd, "WATCHDOG=1\n");
	assert_true(notify_send(&n, STR("READY=1\n")));
	notify_close(&n);
	close(fd);
}

static void
the_watchdog_is_for_the_process_it_names(void **state)
{
	static const struct {
		const char *usec;
		int pid; /* relative to ours; -1: not named */
		uint64_t want;
	} rows[] = {{"3000000", -1, 3000000}, {"3000000", 0, 3000000}, {"3000000", 1, 0},
	    {"soon", 0, 0}, {NULL, 0, 0}};
	struct notify n;
	char pid[16];

	setenv("NOTIFY_SOCKET", "@baton-test-watchdog", 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsetenv("WATCHDOG_USEC");
		unsetenv("WATCHDOG_PID");
		if (rows[i].usec)
			setenv("WATCHDOG_USEC", rows[i].usec, 1);
		snprintf(pid, sizeof(pid), "%d", (int)getpid() + rows[i].pid);
		if (rows[i].pid >= 0)
			setenv("WATCHDOG_PID", pid, 1);
		notify_open(&n);
		assert_int_equal(n.watchdog_us, rows[i].want);
		notify_close(&n);
	}
}

static void
a_value_is_one_line(void **state)
{
	struct strb b = {0};

	notify_add_text(&b, "STATUS", STR("line one\nREADY=1\r\tend"));
	assert_string_equal(strb_z(&b), "STATUS=line one READY=1  end\n");
	strb_fini(&b);
}

static void
children_and_successors_get_what_is_theirs(void **state)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("NOTIFY_SOCKET", "@x", 1);
	setenv("WATCHDOG_PID", "1", 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDNAMES", "x", 1);
	notify_for_successor();
	assert_string_equal(getenv("WATCHDOG_PID"), pid);
	assert_string_equal(getenv("NOTIFY_SOCKET"), "@x");
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDNAMES"));
	notify_not_for_children();
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_PID"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_path_and_an_abstract_name_are_heard),
	    cmocka_unit_test(nothing_happens_where_nobody_listens),
	    cmocka_unit_test(a_full_queue_is_told),
	    cmocka_unit_test(the_watchdog_is_for_the_process_it_names),
	    cmocka_unit_test(a_value_is_one_line),
	    cmocka_unit_test(children_and_successors_get_what_is_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
