/* Log files: opened once, reopened, and what stays when that fails. */
#include "tests/unit/admin/web/prepared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/test_files.XXXXXX";

static const char *
in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static long
size_of(const char *name)
{
	struct stat st;

	return stat(in_dir(name), &st) < 0 ? -1 : (long)st.st_size;
}

static void
a_file_is_appended_to_and_may_be_a_standard_stream(void **state)
{
	struct err err = {""};
	int fd = log_file_open(in_dir("a"), &err);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "one", 3), 3);
	close(fd);
	fd = log_file_open(in_dir("a"), &err);
	assert_int_equal(write(fd, "two", 3), 3);
	close(fd);
	assert_int_equal(size_of("a"), 6);
	fd = log_file_open("/dev/stdout", &err);
	assert_true(fd > 2);
	close(fd);
	assert_true(log_file_open(in_dir("no/such/dir"), &err) < 0);
	assert_non_null(strstr(err.text, "unable to open file '"));
}

static void
the_application_log_is_reopened_with_the_others(void **state)
{
	struct prepared *p = *state;
	struct files *f = &p->admin.files;
	struct err err;

	assert_int_equal(files_open_app_log(f, in_dir("app"), &err), 0);
	assert_int_equal(log_fd(), f->app_fd);
	unlink(in_dir("app"));
	files_reopen(&p->admin);
	assert_int_equal(log_fd(), f->app_fd);
	log_info(LOG_ADMIN, "here");
	assert_true(size_of("app") > 0);
}

static void
a_log_that_cannot_be_reopened_stays(void **state)
{
	struct prepared *p = *state;
	struct files *f = &p->admin.files;
	struct filesystem_stats *stats = filesystem_stats_of("filesystem.");
	struct err err;
	int fd;

	assert_int_equal(mkdir(in_dir("sub"), 0700), 0);
	assert_int_equal(files_open_app_log(f, in_dir("sub/app"), &err), 0);
	fd = f->app_fd;
	unlink(in_dir("sub/app"));
	rmdir(in_dir("sub"));
	files_reopen(&p->admin);
	assert_int_equal(f->app_fd, fd);
	assert_int_equal(log_fd(), fd);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	assert_int_equal(stats->reopen_failed.raw, 1);
}

static int
make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int
remove_dir(void **state)
{
	unlink(in_dir("a"));
	unlink(in_dir("app"));
	return rmdir(dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, unprepare)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_file_is_appended_to_and_may_be_a_standard_stream),
	    TEST(the_application_log_is_reopened_with_the_others),
	    TEST(a_log_that_cannot_be_reopened_stays),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
