/*
 * A runtime directory of the test's own, generations in it that count, and
 * what is read of them.
 */
#ifndef TESTS_SHM_DIR_H
#define TESTS_SHM_DIR_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shm/block.h"
#include "shm/lane.h"
#include "shm/paths.h"
#include "shm/read.h"

#include "lib/base/assert.h"
#include "lib/base/rand.h"
#include "shm/block.h"
#include "shm/failures.h"
#include "shm/hosts.h"
#include "shm/lane.h"
#include "shm/latch.h"
#include "shm/limits.h"
#include "shm/paths.h"
#include "shm/read.h"
#include "shm/fold.h"
#include "shm/totals.h"

/* A runtime directory of the test's own. */
static char base[64];
static int base_fd;

static inline int
set_up(void **state)
{
	snprintf(base, sizeof(base), "/tmp/baton-test-XXXXXX");
	if (mkdtemp(base) == NULL)
		return -1;
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return base_fd < 0 ? -1 : 0;
}

static inline void
remove_all(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;

	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (unlinkat(fd, e->d_name, 0) < 0) {
			remove_all(openat(fd, e->d_name, O_RDONLY | O_DIRECTORY));
			unlinkat(fd, e->d_name, AT_REMOVEDIR);
		}
	}
	closedir(dir);
}

static inline int
tear_down(void **state)
{
	remove_all(base_fd);
	return rmdir(base);
}

static inline struct segment *
generation(uint64_t n)
{
	struct segment_params p = {.concurrency = 2,
	    .generation = n,
	    .lane_bytes = 1u << 20,
	    .dir_bytes = 64u << 10,
	    .shared_bytes = 64u << 10};
	struct segment *seg;
	struct strb name = {0};
	struct err err;

	path_generation(&name, n);
	assert_int_equal(mkdirat(base_fd, strb_z(&name), 0700), 0);
	strb_addz(&name, "/" PATH_SEGMENT);
	assert_int_equal(segment_create(&seg, base_fd, strb_z(&name), &p, &err), 0);
	strb_fini(&name);
	return seg;
}

static inline void
publish(struct segment *seg, enum stat_scope scope, const char *prefix)
{
	struct err err;

	assert_int_equal(block_publish(seg, scope, str_of(prefix), &err), 0);
}

static inline void
sit(struct segment *seg, uint32_t seat)
{
	struct err err;

	assert_int_equal(
	    lane_take(seg, seat, seat < 2 ? (enum seat_role)(seat + 1) : SEAT_WORKER, seat, &err),
	    0);
}

static inline void
leave_all(struct segment **seg)
{
	for (uint32_t i = 0; i < (*seg)->h->seats; i++)
		seat_release(*seg, i);
	segment_free(seg);
}

static inline struct stat_set *
read_all(void)
{
	struct stat_query q = {0};
	struct stat_set *set;
	struct err err;

	if (stat_read(&set, base, &q, &err) < 0)
		fail_msg("%s", err.text);
	return set;
}

static inline const struct stat_row *
row_of(const struct stat_set *set, const char *name)
{
	const struct stat_row *row = stat_set_find(set, str_of(name));

	if (row == NULL)
		fail_msg("no stat %s", name);
	return row;
}

static inline uint64_t
counter(const struct stat_set *set, const char *name)
{
	return row_of(set, name)->counter;
}

static inline int64_t
gauge(const struct stat_set *set, const char *name)
{
	return row_of(set, name)->gauge;
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
