/* What each process may do: as root, and as somebody who may do nothing special. */
#include "tests/harness/scene.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

#define ORDINARY_USER 60998

/* A line of /proc/PID/status without its name: "CapEff" → "0000…". */
static char *
status_line(pid_t pid, const char *name)
{
	static char value[256];
	char path[64], line[256];
	size_t n = strlen(name);
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	value[0] = '\0';
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, n) == 0 && line[n] == ':')
			snprintf(value, sizeof(value), "%s", line + n + 2);
	fclose(f);
	for (n = strlen(value); n && isspace((unsigned char)value[n - 1]); n--)
		value[n - 1] = '\0';
	return value;
}

static void
expect_line(pid_t pid, const char *name, const char *want)
{
	if (strcmp(status_line(pid, name), want) != 0)
		fail_msg("%s is %s, not %s", name, status_line(pid, name), want);
}

#define CAPS_NONE "0000000000000000"
#define CAP_DAC_READ_SEARCH 2
#define CAPS_OF_MASTER                                                                             \
	(1ull << 5 /* KILL */ | 1ull << 6 /* SETGID */ | 1ull << 7 /* SETUID */ |                  \
	    1ull << 10 /* NET_BIND_SERVICE */ | 1ull << 12 /* NET_ADMIN */)

static uint64_t
caps(pid_t pid, const char *set)
{
	return strtoull(status_line(pid, set), NULL, 16);
}

static void
root_gives_away_what_it_does_not_need(void **state)
{
	struct scene sc;
	pid_t admin, worker;

	if (geteuid() != 0)
		skip();
	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--user";
	sc.extra[1] = "60999";
	scene_proxy(&sc, CONF_SIMPLE);
	admin = scene_wait_child(&sc, "admin", 0);
	worker = scene_wait_child(&sc, "worker 1", 0);

	expect_line(worker, "Uid", "60999\t60999\t60999\t60999");
	expect_line(worker, "Gid", "60999\t60999\t60999\t60999");
	expect_line(worker, "Groups", "");
	expect_line(worker, "CapEff", CAPS_NONE);
	expect_line(worker, "CapPrm", CAPS_NONE);
	expect_line(worker, "CapInh", CAPS_NONE);
	expect_line(worker, "CapAmb", CAPS_NONE);
	expect_line(worker, "NoNewPrivs", "1");

	expect_line(admin, "Uid", "0\t0\t0\t0");
	assert_int_equal(caps(admin, "CapEff") & ~(1ull << CAP_DAC_READ_SEARCH), 0);
	assert_int_equal(caps(admin, "CapPrm") & ~(1ull << CAP_DAC_READ_SEARCH), 0);
	expect_line(admin, "NoNewPrivs", "1");

	assert_int_equal(caps(sc.proxy, "CapEff") & ~CAPS_OF_MASTER, 0);
	assert_int_equal(
	    caps(sc.proxy, "CapPrm") & ~(CAPS_OF_MASTER | 1ull << CAP_DAC_READ_SEARCH), 0);

	/* The next worker is no more than the first. */
	kill(worker, SIGKILL);
	worker = scene_wait_child(&sc, "worker 1", worker);
	WAIT_FOR(scene_status(&sc, "/") == 200);
	expect_line(worker, "Uid", "60999\t60999\t60999\t60999");
	expect_line(worker, "CapPrm", CAPS_NONE);
	scene_fini(&sc);
}

static void
workers_never_run_as_root_or_nobody_by_default(void **state)
{
	struct scene sc;
	char *out, *config;
	const char *uid;

	if (geteuid() != 0)
		skip();
	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SIMPLE);
	uid = status_line(scene_wait_child(&sc, "worker 1", 0), "Uid");
	assert_true(atoi(uid) != 0 && atoi(uid) != 65534);
	config = mem_printf("%s/baton.yaml", sc.dir);
	assert_int_equal(
	    scene_run(&sc, &out, "-c", config, "--base-id", "1", "--user", "0", NULL), 1);
	assert_non_null(strstr(out, "--user"));
	mem_free(out);
	assert_int_equal(
	    scene_run(&sc, &out, "-c", config, "--base-id", "1", "--user", "no-such-user", NULL),
	    1);
	assert_non_null(strstr(out, "no-such-user"));
	mem_free(out);
	mem_free(config);
	scene_fini(&sc);
}

/* ---- as an ordinary user */

static void
give_to_ordinary_user(struct scene *sc)
{
	if (geteuid() == 0) {
		assert_int_equal(chown(sc->dir, ORDINARY_USER, ORDINARY_USER), 0);
		sc->wrap[0] = "/usr/bin/setpriv";
		sc->wrap[1] = "--reuid=60998";
		sc->wrap[2] = "--regid=60998";
		sc->wrap[3] = "--clear-groups";
	}
}

#define CONF_LOGGED                                                                                \
	CONF_ADMIN CONF_LISTENER_WITH("",                                                          \
	    "          access_log:\n"                                                              \
	    "          - name: envoy.access_loggers.file\n"                                        \
	    "            typed_config:\n"                                                          \
	    "              \"@type\": type.googleapis.com/"                                        \
	    "envoy.extensions.access_loggers.file.v3.FileAccessLog\n"                              \
	    "              path: \"@DIR@/access\"\n",                                              \
	    "", CONF_ROUTE_ALL)                                                                    \
	CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

static void
an_ordinary_user_has_all_of_it(void **state)
{
	struct scene sc;
	char *out;
	pid_t worker;

	scene_init(&sc);
	scene_origin(&sc, "one");
	give_to_ordinary_user(&sc);
	scene_proxy(&sc, CONF_LOGGED);
	worker = scene_wait_child(&sc, "worker 1", 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	expect_line(worker, "CapPrm", CAPS_NONE);
	expect_line(worker, "NoNewPrivs", "1");
	WAIT_FOR(scene_file_has(&sc, "access", "GET / HTTP/1.1"));
	kill(worker, SIGKILL);
	scene_wait_child(&sc, "worker 1", worker);
	WAIT_FOR(scene_status(&sc, "/") == 200);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "healthcheck", "fail", NULL), 0);
	mem_free(out);
	assert_stat(&sc, "server.live", 0);
	kill(sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	scene_fini(&sc);
}

static void
the_runtime_directory_is_ones_own(void **state)
{
	struct scene sc;
	struct stat st;
	char *config, *out, *path, *xdg;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_write_config(&sc, CONF_SIMPLE);
	config = mem_printf("%s/baton.yaml", sc.dir);
	chmod(sc.dir, 0755);
	chmod(config, 0644);
	if (geteuid() == 0) {
		/* A directory of somebody else is not used. */
		assert_int_equal(
		    scene_run_tool(&sc, &out, "/usr/bin/setpriv", "--reuid=60998", "--regid=60998",
			"--clear-groups", scene_program("baton"), "--runtime-dir", sc.dir, "-c",
			config, "--mode", "init_only", NULL),
		    1);
		assert_non_null(strstr(out, "--runtime-dir"));
		mem_free(out);
		assert_int_equal(chown(sc.dir, ORDINARY_USER, ORDINARY_USER), 0);
	}
	/* Without the option: $XDG_RUNTIME_DIR/baton, made for nobody else to see. */
	xdg = mem_printf("XDG_RUNTIME_DIR=%s", sc.dir);
	if (geteuid() == 0)
		assert_int_equal(
		    scene_run_tool(&sc, &out, "/usr/bin/setpriv", "--reuid=60998", "--regid=60998",
			"--clear-groups", "/usr/bin/env", xdg, scene_program("baton"), "-c", config,
			"--mode", "init_only", NULL),
		    0);
	else
		assert_int_equal(
		    scene_run_tool(&sc, &out, "/usr/bin/env", xdg, scene_program("baton"), "-c",
			config, "--mode", "init_only", NULL),
		    0);
	mem_free(out);
	path = mem_printf("%s/baton", sc.dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	mem_free(path);
	mem_free(xdg);
	mem_free(config);
	scene_fini(&sc);
}

/* ---- descriptors */

struct holdings {
	unsigned sockets, listening, seqpackets, epolls, others;
	char text[4096];
};

/* Is this inode a socket that listens?  flags 10000 in /proc/net/unix, state 0A in /proc/net/tcp.
 */
static bool
listens(unsigned long inode)
{
	char line[512];
	unsigned long found;
	bool yes = false;
	FILE *f = fopen("/proc/net/tcp", "r");

	while (f && fgets(line, sizeof(line), f)) {
		char st[8];

		if (sscanf(line, " %*d: %*s %*s %7s %*s %*s %*s %*d %*d %lu", st, &found) == 2 &&
		    found == inode)
			yes = strcmp(st, "0A") == 0;
	}
	if (f)
		fclose(f);
	return yes;
}

/* 5 is SOCK_SEQPACKET: the channels between the processes. */
static unsigned
unix_type(unsigned long inode, bool *listening)
{
	char line[512];
	unsigned long found;
	unsigned flags, type, result = 0;
	FILE *f = fopen("/proc/net/unix", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*s %*s %x %x %*s %lu", &flags, &type, &found) == 3 &&
		    found == inode) {
			result = type;
			*listening = (flags & 0x10000) != 0;
		}
	}
	if (f)
		fclose(f);
	return result;
}

static void
look_at(struct holdings *h, const char *to)
{
	unsigned long inode;
	bool listening = false;
	size_t n = strlen(h->text);

	snprintf(h->text + n, sizeof(h->text) - n, "%s\n", to);
	if (sscanf(to, "socket:[%lu]", &inode) != 1) {
		if (strstr(to, "eventpoll"))
			h->epolls++;
		else
			h->others++;
	} else if (unix_type(inode, &listening) == 5 && !listening) {
		h->seqpackets++;
	} else if (listening || listens(inode)) {
		h->listening++;
	} else {
		h->sockets++;
	}
}

static struct holdings
holdings_of(pid_t pid)
{
	struct holdings h = {0};
	char path[64], link[400], to[300];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		ssize_t n;

		snprintf(link, sizeof(link), "%s/%s", path, e->d_name);
		if (!isdigit((unsigned char)e->d_name[0]) ||
		    (n = readlink(link, to, sizeof(to) - 1)) < 0)
			continue;
		to[n] = '\0';
		look_at(&h, to);
	}
	closedir(d);
	return h;
}

/* One end of one channel; the listening socket that is its own, and the control socket. */
static void
expect_holdings(pid_t pid)
{
	const unsigned listening = 2;
	uint64_t until = scene_now_ms() + 3000;
	struct holdings h = holdings_of(pid);

	/* A worker that just came gets its sockets a moment later. */
	while (h.listening != listening && scene_now_ms() < until) {
		scene_pause();
		h = holdings_of(pid);
	}
	if (h.seqpackets != 1 || h.listening != listening || h.sockets != 0)
		fail_msg("%u channels, %u listening, %u other sockets:\n%s", h.seqpackets,
		    h.listening, h.sockets, h.text);
}

static void
children_hold_what_is_theirs(void **state)
{
	struct scene sc;
	pid_t worker;

	scene_init(&sc);
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "3";
	scene_proxy(&sc, CONF_SIMPLE);
	worker = scene_wait_child(&sc, "worker 2", 0);
	kill(worker, SIGKILL); /* its successor is forked by a master that has everything open */
	worker = scene_wait_child(&sc, "worker 2", worker);
	expect_holdings(scene_wait_child(&sc, "worker 1", 0));
	expect_holdings(worker);
	expect_holdings(scene_wait_child(&sc, "worker 3", 0));
	expect_holdings(scene_wait_child(&sc, "admin", 0));
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(root_gives_away_what_it_does_not_need),
	    cmocka_unit_test(workers_never_run_as_root_or_nobody_by_default),
	    cmocka_unit_test(an_ordinary_user_has_all_of_it),
	    cmocka_unit_test(the_runtime_directory_is_ones_own),
	    cmocka_unit_test(children_hold_what_is_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
