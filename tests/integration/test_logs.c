/* Log files: what a line says, and that renaming, reopening or a full disk costs no line and no
 * request. */
#include "tests/harness/scene.h"

#include <fcntl.h>
#include <regex.h>
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

#define FILE_LOG(path, format)                                                                     \
	"          - name: envoy.access_loggers.file\n"                                            \
	"            typed_config:\n"                                                              \
	"              \"@type\": type.googleapis.com/"                                            \
	"envoy.extensions.access_loggers.file.v3.FileAccessLog\n"                                  \
	"              path: \"" path "\"\n" format

#define CONF_LOGS(logs)                                                                            \
	CONF_ADMIN CONF_LISTENER_WITH("", "          access_log:\n" logs, "", CONF_ROUTE_NAMED)    \
	CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")
#define CONF_ROUTE_NAMED                                                                           \
	"              - {name: home, match: {prefix: /}, route: {cluster: api, timeout: 1s}}\n"

#define TEXT(format)                                                                               \
	"              log_format: {text_format_source: {inline_string: \"" format "\\n\"}}\n"

static void
start(struct scene *sc, const char *yaml)
{
	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--file-flush-interval-msec";
	sc->extra[1] = "50";
	scene_proxy(sc, yaml);
}

static bool
file_matches(struct scene *sc, const char *name, const char *pattern)
{
	char *text = scene_file(sc, name);
	regex_t re;
	bool ok;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE), 0);
	ok = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	mem_free(text);
	return ok;
}

static void
expect_line(struct scene *sc, const char *name, const char *pattern)
{
	uint64_t until = scene_now_ms() + 3000;
	char *text;

	while (!file_matches(sc, name, pattern) && scene_now_ms() < until)
		scene_pause();
	text = scene_file(sc, name);
	if (!file_matches(sc, name, pattern))
		fail_msg("no line like %s in:\n%s", pattern, text);
	mem_free(text);
}

#define IP "127\\.0\\.0\\.1"
#define ADDRESS IP ":[0-9]+"
#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"
#define UUID "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

static void
text_lines_say_what_happened(void **state)
{
	struct scene sc;
	struct reply r;

	start(&sc,
	    CONF_LOGS(FILE_LOG("@DIR@/default", "") FILE_LOG(
		"@DIR@/own", TEXT("%REQ(:METHOD)% %REQ(X-NONE?X-SOME)% %REQ(X-LONG):3% "
				  "%RESPONSE_CODE_DETAILS% %ROUTE_NAME% "
				  "%UPSTREAM_CLUSTER% %UPSTREAM_HOST% %CONNECTION_ID% "
				  "%CONNECTION_TERMINATION_DETAILS%")) FILE_LOG("@DIR@/addresses",
		TEXT("%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% "
		     "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% "
		     "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% "
		     "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%")) FILE_LOG("@DIR@/rest",
		TEXT("%UPSTREAM_TRANSPORT_FAILURE_REASON% %REQUEST_DURATION% %RESPONSE_DURATION% "
		     "%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %BYTES_RECEIVED% %BYTES_SENT% "
		     "%DURATION% "
		     "%START_TIME(%s)% %RESP(CONTENT-LENGTH)% %HOSTNAME% 100%%"))));
	r = scene_request(&sc, sc.port, "POST", "/a?size=12",
	    "User-Agent: tester\r\nX-Some: this\r\nX-Long: abcdef\r\n", "hello");
	assert_int_equal(r.status, 200);
	reply_free(&r);
	expect_line(&sc, "default",
	    "^\\[" TIME
	    "\\] \"POST /a\\?size=12 HTTP/1\\.1\" 200 - 5 12 [0-9]+ [0-9]+ \"-\" \"tester\" "
	    "\"" UUID "\" \"localhost:[0-9]+\" \"" ADDRESS "\"$");
	expect_line(&sc, "own", "^POST this abc via_upstream home api " ADDRESS " [0-9]+ -$");
	expect_line(&sc, "addresses", "^" ADDRESS " " IP " " ADDRESS " " IP " " ADDRESS " " IP "$");
	expect_line(&sc, "rest", "^- [0-9]+ [0-9]+ - - 5 12 [0-9]+ [0-9]{10} 12 [^ ]+ 100%$");
	assert_int_equal(scene_status(&sc, "/?delay_ms=3000"), 504);
	expect_line(&sc, "rest", "^- [0-9]+ - UT UpstreamRequestTimeout 0 24 ");
	expect_line(&sc, "own", "^GET - - response_timeout home api " ADDRESS " [0-9]+ -$");
	scene_fini(&sc);
}

static void
json_lines_keep_their_types(void **state)
{
	struct scene sc;

	start(&sc, CONF_LOGS(FILE_LOG("@DIR@/json",
		       "              log_format:\n"
		       "                json_format: {a: \"%REQ(:PATH)%\", b: \"%RESPONSE_CODE%\", "
		       "c: \"%REQ(NONE)%\","
		       " d: \"took %DURATION% ms\", e: {f: \"%PROTOCOL%\"}, g: 7}\n")));
	assert_int_equal(scene_status(&sc, "/\"x"), 200);
	expect_line(&sc, "json",
	    "^\\{\"a\":\"/\\\\\"x\",\"b\":200,\"c\":null,\"d\":\"took [0-9]+ "
	    "ms\",\"e\":\\{\"f\":\"HTTP/1.1\"\\},\"g\":7\\}$");
	scene_fini(&sc);
}

static size_t
lines_in(struct scene *sc, const char *name)
{
	char *text = scene_file(sc, name);
	size_t n = 0;

	for (const char *p = text; *p; p++)
		n += *p == '\n';
	mem_free(text);
	return n;
}

static void
move(struct scene *sc, const char *from, const char *to)
{
	char *a = mem_printf("%s/%s", sc->dir, from), *b = mem_printf("%s/%s", sc->dir, to);

	assert_int_equal(rename(a, b), 0);
	mem_free(a);
	mem_free(b);
}

/* A file that was not there until the log was opened anew. */
static bool
exists(struct scene *sc, const char *name)
{
	char *path = mem_printf("%s/%s", sc->dir, name);
	bool there = access(path, F_OK) == 0;

	mem_free(path);
	return there;
}

static void
some_requests(struct scene *sc, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(scene_status(sc, "/"), 200);
}

static void
files_renamed_and_reopened_lose_no_line(void **state)
{
	struct scene sc;

	start(&sc, CONF_LOGS(FILE_LOG("@DIR@/access", TEXT("%RESPONSE_CODE%"))));
	some_requests(&sc, 20);
	move(&sc, "access", "access.1");
	some_requests(&sc, 20);
	kill(sc.proxy, SIGUSR1);
	some_requests(&sc, 20);
	WAIT_FOR(exists(&sc, "access"));
	some_requests(&sc, 20);
	WAIT_FOR(lines_in(&sc, "access.1") + lines_in(&sc, "access") == 80);
	assert_true(lines_in(&sc, "access") >= 20);
	move(&sc, "access", "access.2");
	assert_int_equal(scene_admin_status(&sc, "POST", "/reopen_logs"), 200);
	WAIT_FOR(exists(&sc, "access"));
	some_requests(&sc, 20);
	WAIT_FOR(
	    lines_in(&sc, "access.1") + lines_in(&sc, "access.2") + lines_in(&sc, "access") == 100);
	scene_fini(&sc);
}

static void
the_proxys_own_log_is_reopened_too(void **state)
{
	struct scene sc;
	char *path;

	scene_init(&sc);
	scene_origin(&sc, "one");
	path = mem_printf("%s/own.log", sc.dir);
	sc.extra[0] = "--log-path";
	sc.extra[1] = path;
	scene_proxy(&sc, CONF_SIMPLE);
	WAIT_FOR(exists(&sc, "own.log") && lines_in(&sc, "own.log") > 0);
	move(&sc, "own.log", "own.log.1");
	kill(sc.proxy, SIGUSR1);
	WAIT_FOR(exists(&sc, "own.log"));
	kill(sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	assert_true(lines_in(&sc, "own.log") > 0);
	mem_free(path);
	scene_fini(&sc);
}

static void
a_full_disk_stops_no_traffic(void **state)
{
	struct scene sc;

	start(&sc, CONF_LOGS(FILE_LOG("/dev/full", "")));
	some_requests(&sc, 20);
	scene_wait_stat(&sc, "filesystem.write_failed", 1);
	scene_wait_log(&sc, "No space left on device");
	/* More lines than are kept. */
	{
		char *url = mem_printf("http://127.0.0.1:%u/", sc.port), *out;

		assert_int_equal(scene_run_tool(&sc, &out, "/usr/bin/h2load", "--h1", "-n", "3000",
				     "-c", "4", url, NULL),
		    0);
		assert_non_null(strstr(out, "3000 succeeded, 0 failed"));
		mem_free(out);
		mem_free(url);
	}
	scene_wait_stat(&sc, "access_log.lines_dropped", 1);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 3020);
	scene_fini(&sc);
}

/* Nobody reads our stderr any more: what is written there is lost, and nothing else. */
static void
a_reader_that_sleeps_stops_nothing(void **state)
{
	struct scene sc;
	char *fifo;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	fifo = mem_printf("%s/fifo", sc.dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	fd = open(fifo, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	mem_free(sc.log);
	sc.log = fifo;
	sc.extra[0] = "-l";
	sc.extra[1] = "trace";
	scene_proxy(&sc, CONF_SIMPLE);
	for (int i = 0; i < 300; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	scene_wait_stat(&sc, "baton.log_lines_dropped", 1);
	assert_int_equal(scene_admin_status(&sc, "GET", "/ready"), 200);
	kill(sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	unlink(fifo); /* the scene reads it at its end */
	close(fd);
	scene_fini(&sc);
}

static void
a_log_that_cannot_be_opened_is_refused_with_its_place(void **state)
{
	struct scene sc;
	char *out, *config;

	scene_init(&sc);
	scene_origin(&sc, "one");
	config = mem_printf("%s/baton.yaml", sc.dir);
	scene_write_config(&sc, CONF_LOGS(FILE_LOG("@DIR@/none/access", "")));
	assert_int_equal(scene_run(&sc, &out, "-c", config, NULL), 1);
	if (!strstr(out, "listener 'main'") || !strstr(out, "access_log[0]") ||
	    !strstr(out, "/none/access': No such file or directory"))
		fail_msg("%s", out);
	mem_free(out);
	scene_write_config(&sc, CONF_SIMPLE);
	assert_int_equal(
	    scene_run(&sc, &out, "-c", config, "--log-path", "/nonexistent/log", NULL), 1);
	assert_non_null(strstr(out, "/nonexistent/log"));
	mem_free(out);
	mem_free(config);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_lines_say_what_happened),
	    cmocka_unit_test(json_lines_keep_their_types),
	    cmocka_unit_test(files_renamed_and_reopened_lose_no_line),
	    cmocka_unit_test(the_proxys_own_log_is_reopened_too),
	    cmocka_unit_test(a_full_disk_stops_no_traffic),
	    cmocka_unit_test(a_reader_that_sleeps_stops_nothing),
	    cmocka_unit_test(a_log_that_cannot_be_opened_is_refused_with_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
