/*
 * Sinks: batches, new descriptors, disks that are full and pipes nobody
 * reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "shm/block.h"
#include "shm/lane.h"
#include "worker/access_log/sink.h"

struct scene {
	struct loop *loop;
	struct segment *seg;
	struct filesystem_stats *files;
	struct access_log_stats *logs;
	char path[64];
};

static int
set_up(void **state)
{
	struct scene *sc = mem_new(struct scene);

	sc->seg = lane_private();
	assert_int_equal(block_publish(sc->seg, SCOPE_filesystem, STR("filesystem."), NULL), 0);
	assert_int_equal(block_publish(sc->seg, SCOPE_access_log, STR("access_log."), NULL), 0);
	sc->files = filesystem_stats_of("filesystem.");
	sc->logs = access_log_stats_of("access_log.");
	memset(sc->files, 0, sizeof(*sc->files));
	memset(sc->logs, 0, sizeof(*sc->logs));
	sc->loop = loop_new();
	sinks_init(sc->loop, 1);
	strcpy(sc->path, "/tmp/test_sink.XXXXXX");
	close(mkstemp(sc->path));
	*state = sc;
	return 0;
}

static int
tear_down(void **state)
{
	struct scene *sc = *state;

	sinks_fini();
	assert_int_equal(stat_gauge_value(sc->files->write_total_buffered.raw), 0);
	loop_free(&sc->loop);
	unlink(sc->path);
	mem_free(sc);
	return 0;
}

static int
append(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool
line(struct sink *s, const char *text)
{
	struct strb *b = sink_line(s);

	if (b == NULL)
		return false;
	strb_addz(b, text);
	sink_line_done(s);
	return true;
}

static off_t
size_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t n = lseek(fd, 0, SEEK_END);

	close(fd);
	return n;
}

static void
lines_leave_together_at_the_interval(void **state)
{
	struct scene *sc = *state;
	struct sink *s = sink_at(STR("/x/log"));

	assert_ptr_equal(sink_at(STR("/x/log")), s);
	sink_set_fd(s, append(sc->path));
	assert_true(line(s, "one\n") && line(s, "two\n"));
	assert_int_equal(size_of(sc->path), 0);
	assert_int_equal(stat_gauge_value(sc->files->write_total_buffered.raw), 8);
	while (size_of(sc->path) == 0)
		loop_turn(sc->loop, true);
	assert_int_equal(size_of(sc->path), 8);
	assert_int_equal(sc->files->write_completed.raw, 1);
	assert_int_equal(sc->files->flushed_by_timer.raw, 1);
	assert_int_equal(sc->files->write_buffered.raw, 2);
	assert_int_equal(sc->logs->lines_written.raw, 2);
}

static void
a_full_buffer_leaves_at_once(void **state)
{
	struct scene *sc = *state;
	struct sink *s = sink_at(STR("/x/log"));
	size_t n = 0;

	sink_set_fd(s, append(sc->path));
	for (; n < SINK_BUFFER; n += 10)
		assert_true(line(s, "123456789\n"));
	assert_int_equal(size_of(sc->path), n);
	assert_int_equal(sc->files->write_completed.raw, 1);
}

static void
a_new_descriptor_takes_over(void **state)
{
	struct scene *sc = *state;
	struct sink *s = sink_at(STR("/x/log"));
	char other[] = "/tmp/test_sink.XXXXXX";

	close(mkstemp(other));
	assert_true(line(s, "before there was a descriptor\n"));
	sink_set_fd(s, append(sc->path));
	sinks_flush();
	assert_int_equal(size_of(sc->path), 30);
	assert_true(line(s, "old\n"));
	sink_set_fd(s, append(other));
	assert_int_equal(size_of(sc->path), 34); /* what waited went to the old one */
	assert_true(line(s, "new\n"));
	sinks_flush();
	assert_int_equal(size_of(other), 4);
	unlink(other);
}

static void
a_full_disk_drops_lines_and_stops_nothing(void **state)
{
	struct scene *sc = *state;
	struct sink *s = sink_at(STR("/x/log"));
	unsigned taken = 0;

	sink_set_fd(s, append("/dev/full"));
	for (int i = 0; i < 20000; i++)
		taken += line(s, "123456789\n");
	assert_in_range(taken, SINK_BUFFER / 10, SINK_BUFFER / 10 + 2);
	assert_int_equal(sc->logs->lines_dropped.raw, 20000 - taken);
	assert_int_equal(sc->files->write_failed.raw, 1); /* not once a line */
	while (sc->files->write_failed.raw == 1) /* it is tried again */
		loop_turn(sc->loop, true);
	sink_set_fd(s, append(sc->path)); /* the operator made room */
	sinks_flush();
	assert_int_equal(size_of(sc->path), taken * 10);
	assert_true(line(s, "123456789\n"));
}

static void
a_pipe_nobody_reads_blocks_nobody(void **state)
{
	struct scene *sc = *state;
	struct sink *s = sink_at(STR("/x/pipe"));
	char got[4096];
	size_t total = 0, whole = 0;
	unsigned taken = 0;
	ssize_t n;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	sink_set_fd(s, fds[1]); /* a blocking descriptor, as stdout is */
	for (int i = 0; i < 50000; i++)
		taken += line(s, "123456789\n");
	assert_true(taken < 50000);
	assert_true(sc->logs->lines_dropped.raw > 0);
	while (total < taken * 10ul) {
		n = read(fds[0], got, sizeof(got));
		if (n < 0) {
			sinks_flush();
			continue;
		}
		for (ssize_t i = 0; i < n; i++)
			whole += got[i] == '\n';
		total += (size_t)n;
	}
	assert_int_equal(whole, taken);
	close(fds[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_leave_together_at_the_interval),
		TEST(a_full_buffer_leaves_at_once),
		TEST(a_new_descriptor_takes_over),
		TEST(a_full_disk_drops_lines_and_stops_nothing),
		TEST(a_pipe_nobody_reads_blocks_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
