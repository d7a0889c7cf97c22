/* Moves are seen, writes in place are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/xds/watch.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

struct scene {
	char dir[64];
	char path[96], other[96];
	struct loop *l;
	struct watch w;
	unsigned moves;
};

static void
on_move(void *arg)
{
	((struct scene *)arg)->moves++;
}

static void
write_file(const char *path)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs("x", f);
	fclose(f);
}

static unsigned
moves_after_a_turn(struct scene *sc)
{
	loop_turn(sc->l, false);
	loop_turn(sc->l, false);
	return sc->moves;
}

static int
setup(void **state)
{
	struct scene *sc = mem_new(struct scene);

	snprintf(sc->dir, sizeof(sc->dir), "/tmp/baton-watch-XXXXXX");
	assert_non_null(mkdtemp(sc->dir));
	snprintf(sc->path, sizeof(sc->path), "%s/file.yaml", sc->dir);
	snprintf(sc->other, sizeof(sc->other), "%s/other", sc->dir);
	sc->l = loop_new();
	*state = sc;
	return 0;
}

static int
teardown(void **state)
{
	struct scene *sc = *state;

	watch_close(&sc->w);
	loop_free(&sc->l);
	unlink(sc->path);
	unlink(sc->other);
	rmdir(sc->dir);
	mem_free(sc);
	return 0;
}

static void
only_a_move_onto_the_path_counts(void **state)
{
	struct scene *sc = *state;
	struct err err = {""};

	assert_int_equal(watch_open(&sc->w, sc->l, sc->path, NULL, on_move, sc, &err), 0);
	write_file(sc->path);
	assert_int_equal(moves_after_a_turn(sc), 0);
	unlink(sc->path);
	write_file(sc->path);
	assert_int_equal(moves_after_a_turn(sc), 0);
	write_file(sc->other);
	assert_int_equal(rename(sc->other, sc->path), 0);
	assert_int_equal(moves_after_a_turn(sc), 1);
	assert_int_equal(rename(sc->path, sc->other), 0);
	assert_int_equal(moves_after_a_turn(sc), 1);
}

static void
any_move_into_a_watched_directory_counts(void **state)
{
	struct scene *sc = *state;
	struct err err = {""};

	assert_int_equal(watch_open(&sc->w, sc->l, "/elsewhere/file", sc->dir, on_move, sc, &err), 0);
	write_file(sc->path);
	assert_int_equal(moves_after_a_turn(sc), 0);
	assert_int_equal(rename(sc->path, sc->other), 0);
	assert_int_equal(moves_after_a_turn(sc), 1);
}

static void
what_cannot_be_watched_says_so(void **state)
{
	struct scene *sc = *state;
	struct err err = {""};

	assert_int_equal(watch_open(&sc->w, sc->l, "/no/such/file", NULL, on_move, sc, &err), -1);
	assert_non_null(strstr(err.text, "'/no/such' cannot be watched"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(only_a_move_onto_the_path_counts, setup, teardown),
	    cmocka_unit_test_setup_teardown(any_move_into_a_watched_directory_counts, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_cannot_be_watched_says_so, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
