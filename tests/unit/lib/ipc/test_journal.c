/* The journal: what is appended is read back, in force up to an offset, and nothing lies about lengths. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/ipc/journal.h"

static void
put(struct journal *j, uint16_t kind, const char *name, const char *bytes)
{
	struct err err;

	assert_int_equal(journal_append(j, kind, str_of(name), STR("1"), str_of(bytes), &err), 0);
}

/* The live state as "name=bytes name=bytes". */
static void
assert_state(struct journal *j, uint64_t use, const char *want)
{
	struct journal_map m;
	struct journal_state s;
	struct strb b = {0};
	struct err err;

	assert_int_equal(journal_map(&m, journal_fd(j), use, &err), 0);
	assert_int_equal(journal_read(&m, &s, &err), 0);
	for (size_t i = 0; i < s.live.len; i++)
		strb_printf(&b, "%s%u:" STR_FMT "=" STR_FMT, i ? " " : "", s.live.at[i].kind,
		    STR_ARG(s.live.at[i].name), STR_ARG(s.live.at[i].bytes));
	assert_string_equal(strb_z(&b), want);
	strb_fini(&b);
	journal_state_fini(&s);
	journal_unmap(&m);
}

static void
a_later_record_replaces_and_a_remove_takes_away(void **state)
{
	struct journal *j = journal_new(NULL);
	uint64_t half;

	put(j, 1, "a", "one");
	put(j, 2, "a", "other kind");
	put(j, 1, "b", "two");
	half = journal_size(j);
	put(j, 1, "a", "three");
	assert_int_equal(journal_remove(j, 1, STR("b"), NULL), 0);
	assert_int_equal(journal_remove(j, 1, STR("never there"), NULL), 0);
	assert_state(j, half, "1:a=one 2:a=other kind 1:b=two");
	assert_state(j, journal_size(j), "1:a=three 2:a=other kind");
	put(j, 1, "b", "back");
	put(j, 2, "a", "");
	assert_state(j, journal_size(j), "1:a=three 2:a= 1:b=back");
	journal_free(&j);
}

static void
a_journal_in_use_up_to_nothing_is_empty(void **state)
{
	struct journal *j = journal_new(NULL);

	assert_state(j, 0, "");
	assert_state(j, journal_size(j), "");
	journal_free(&j);
}

static void
readers_cannot_write_and_nobody_can_shrink(void **state)
{
	struct journal *j = journal_new(NULL);
	int fd;

	put(j, 1, "a", "one");
	fd = journal_reader_fd(journal_fd(j));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(journal_fd(j), 0), -1);
	close(fd);
	journal_free(&j);
}

static void
a_new_admin_goes_on_and_overwrites_what_was_not_in_force(void **state)
{
	struct journal *j = journal_new(NULL), *next;
	uint64_t use;

	put(j, 1, "a", "one");
	use = journal_size(j);
	put(j, 1, "b", "prepared only");
	next = journal_adopt(dup(journal_fd(j)), use, NULL);
	journal_free(&j);
	put(next, 1, "c", "three");
	assert_state(next, journal_size(next), "1:a=one 1:c=three");
	journal_rewind(next, use);
	assert_state(next, journal_size(next), "1:a=one");
	journal_free(&next);
}

static void
compaction_keeps_what_is_live(void **state)
{
	struct journal *j = journal_new(NULL), *copy;
	char big[4096];

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	for (int i = 0; i < 20; i++)
		put(j, 1, "big", big);
	put(j, 1, "a", "one");
	put(j, 1, "big", "small");
	assert_true(journal_is_stale(j));
	copy = journal_compact(j, NULL);
	assert_non_null(copy);
	assert_true(journal_size(copy) < 200);
	assert_false(journal_is_stale(copy));
	assert_state(copy, journal_size(copy), "1:big=small 1:a=one");
	journal_free(&copy);
	journal_free(&j);
}

static void
lengths_that_lie_are_refused(void **state)
{
	/* at: byte of the first record to overwrite with 0xff */
	static const int lies[] = {0, 3, 8, 11, 12, 15, 16, 23};
	struct journal_map m;
	struct journal_state s;
	struct err err;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct journal *j = journal_new(NULL);

		put(j, 1, "a", "one");
		assert_int_equal(pwrite(journal_fd(j), "\377", 1, 8 + lies[i]), 1);
		assert_int_equal(journal_map(&m, journal_fd(j), journal_size(j), &err), 0);
		assert_int_equal(journal_read(&m, &s, &err), -1);
		journal_unmap(&m);
		journal_free(&j);
	}
}

static void
a_foreign_or_short_file_is_refused(void **state)
{
	struct journal_map m;
	struct err err;
	int fd = memfd_create("t", MFD_CLOEXEC);

	assert_int_equal(write(fd, "NOTAJOURNAL.....", 16), 16);
	assert_int_equal(journal_map(&m, fd, 16, &err), -1);
	assert_int_equal(journal_map(&m, fd, 17, &err), -1);
	assert_int_equal(journal_map(&m, fd, 3, &err), -1);
	assert_null(journal_adopt(fd, 16, &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_later_record_replaces_and_a_remove_takes_away),
	    cmocka_unit_test(a_journal_in_use_up_to_nothing_is_empty),
	    cmocka_unit_test(readers_cannot_write_and_nobody_can_shrink),
	    cmocka_unit_test(a_new_admin_goes_on_and_overwrites_what_was_not_in_force),
	    cmocka_unit_test(compaction_keeps_what_is_live),
	    cmocka_unit_test(lengths_that_lie_are_refused),
	    cmocka_unit_test(a_foreign_or_short_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
