/*
 * Access logs from their messages: kinds, formats, refusals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "conf/message.h"
#include "conf/types.h"
#include "envoy/config/accesslog/v3/accesslog.pb-c.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb-c.h"
#include "google/protobuf/any.pb-c.h"
#include "lib/event/loop.h"
#include "worker/access_log/access_log.h"
#include "worker/access_log/sink.h"
#include "worker/hcm/stream_info.h"

typedef Envoy__Config__Accesslog__V3__AccessLog AccessLog;

static struct loop *loop;

static int
set_up(void **state)
{
	loop = loop_new();
	access_logs_init(loop, 1000);
	return 0;
}

static int
tear_down(void **state)
{
	sinks_fini();
	loop_free(&loop);
	return 0;
}

static int
build(struct access_log **out, const char *name, const ProtobufCMessage *config, struct arena *a,
    struct err *err)
{
	AccessLog log = ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	struct strb bytes = {0};
	char url[160];
	int rc;

	log.name = (char *)(uintptr_t)name;
	if (config) {
		snprintf(url, sizeof(url), TYPE_PREFIX "%s", config->descriptor->name);
		message_pack(config, &bytes);
		any.type_url = url;
		any.value.data = (uint8_t *)bytes.p;
		any.value.len = bytes.n;
		log.config_type_case = ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG__CONFIG_TYPE_TYPED_CONFIG;
		log.typed_config = &any;
	}
	rc = access_log_build(out, &log, a, err);
	strb_fini(&bytes);
	return rc;
}

static void
a_file_log_writes_its_format_to_its_path(void **state)
{
	Envoy__Extensions__AccessLoggers__File__V3__FileAccessLog m =
	    ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__INIT;
	struct stream_info info = {.status = 204, .protocol = HTTP_2};
	char path[] = "/tmp/test_access_log.XXXXXX", got[64] = "";
	int fd = mkstemp(path);
	struct access_log *al;
	struct err err = {""};
	struct arena a;

	arena_init(&a);
	m.path = "/logged/here";
	m.access_log_format_case =
	    ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_FORMAT;
	m.format = "%RESPONSE_CODE% %PROTOCOL%\n";
	assert_int_equal(build(&al, "envoy.access_loggers.file", &m.base, &a, &err), 0);
	access_logs_set_fd(STR("/logged/here"), fd);
	access_log_write(al, &info);
	access_logs_flush();
	assert_int_equal(pread(fd, got, sizeof(got) - 1, 0), 11);
	assert_string_equal(got, "204 HTTP/2\n");
	unlink(path);
	arena_fini(&a);
}

static void
logs_of_one_path_share_a_sink(void **state)
{
	Envoy__Extensions__AccessLoggers__Stream__V3__StdoutAccessLog m =
	    ENVOY__EXTENSIONS__ACCESS_LOGGERS__STREAM__V3__STDOUT_ACCESS_LOG__INIT;
	struct stream_info info = {.status = 200};
	struct access_log *one, *two;
	int fds[2];
	char got[512] = "";
	struct arena a;
	size_t lines = 0;

	arena_init(&a);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(build(&one, "envoy.access_loggers.stdout", &m.base, &a, NULL), 0);
	assert_int_equal(build(&two, "envoy.access_loggers.stdout", NULL, &a, NULL), 0);
	access_logs_set_fd(STR("/dev/stdout"), fds[1]);
	access_log_write(one, &info);
	access_log_write(two, &info);
	access_logs_flush();
	assert_true(read(fds[0], got, sizeof(got) - 1) > 0);
	for (const char *p = got; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 2); /* both in Envoy's default format */
	close(fds[0]);
	arena_fini(&a);
}

static void
what_cannot_be_written_is_refused(void **state)
{
	Envoy__Extensions__AccessLoggers__File__V3__FileAccessLog m =
	    ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__INIT;
	struct access_log *al;
	struct err err = {""};
	struct arena a;

	arena_init(&a);
	m.path = "/x";
	m.access_log_format_case =
	    ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_FORMAT;
	m.format = "%NOPE%";
	assert_int_equal(build(&al, "file", &m.base, &a, &err), -1);
	assert_string_equal(err.text, "access log 'file': unknown operator %NOPE%");
	assert_int_equal(build(&al, "no.such.log", NULL, &a, &err), -1);
	assert_non_null(strstr(err.text, "no.such.log"));
	arena_fini(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_log_writes_its_format_to_its_path),
		TEST(logs_of_one_path_share_a_sink),
		TEST(what_cannot_be_written_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
