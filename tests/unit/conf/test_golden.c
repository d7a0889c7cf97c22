/*
 * The golden corpus: each file of tests/data/config/bad is refused with
 * exactly the text beside it (NAME.expect), each of tests/data/config/good
 * is accepted, warns and dumps as there.  UPDATE_GOLDEN=1 writes the
 * texts anew, to be read in the diff.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/diag.h"
#include "conf/dump.h"
#include "conf/load.h"
#include "lib/base/json_out.h"
#include "lib/base/str.h"

static char *
read_text(const char *path)
{
	struct strb text = {0};
	FILE *f = fopen(path, "r");
	char buf[4096];
	size_t n;

	while (f && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		strb_add(&text, buf, n);
	if (f)
		fclose(f);
	return strb_give(&text);
}

/* What baton says about a file: warnings and errors, then the dump if it was accepted. */
static bool
load_and_tell(const char *path, struct strb *out)
{
	struct conf_source src = {.path = path};
	struct dump_options options = {0};
	struct diag diag;
	struct conf *conf;
	struct json_out j;
	bool accepted;

	diag_init(&diag);
	accepted = conf_load(&conf, &src, &diag) == 0;
	diag_print(&diag, out, false);
	if (accepted) {
		json_out_init(&j, out, true);
		conf_dump(&j, &conf_bootstrap(conf)->base, &options);
		strb_addc(out, '\n');
		conf_free(&conf);
	}
	diag_fini(&diag);
	return accepted;
}

static bool
compare(const char *name, const struct strb *got)
{
	char expect_path[256];
	char *expected;
	bool same;
	FILE *f;

	snprintf(expect_path, sizeof(expect_path), "%.*s.expect", (int)(strrchr(name, '.') - name),
	    name);
	if (getenv("UPDATE_GOLDEN")) {
		f = fopen(expect_path, "w");
		assert_non_null(f);
		fputs(strb_z(got), f);
		fclose(f);
	}
	expected = read_text(expect_path);
	same = strcmp(expected, strb_z(got)) == 0;
	if (!same)
		print_error("%s: expected\n%s\ngot\n%s\n", name, expected, strb_z(got));
	free(expected);
	return same;
}

static void
walk(const char *folder, bool accepted, size_t least)
{
	char *back = getcwd(NULL, 0);
	size_t different = 0;
	glob_t found = {0};

	assert_int_equal(chdir(folder), 0);
	glob("*.yaml", 0, NULL, &found);
	glob("*.json", GLOB_APPEND, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *name = found.gl_pathv[i];
		struct strb got = {0};

		if (load_and_tell(name, &got) != accepted) {
			print_error("%s: should%s be accepted\n%s\n", name, accepted ? "" : " not",
			    strb_z(&got));
			different++;
		} else if (!compare(name, &got)) {
			different++;
		}
		strb_fini(&got);
	}
	assert_true(found.gl_pathc >= least);
	globfree(&found);
	assert_int_equal(chdir(back), 0);
	free(back);
	assert_int_equal(different, 0);
}

static void
broken_configurations_are_refused_with_their_place(void **state)
{
	walk("tests/data/config/bad", false, 60);
}

static void
sound_configurations_are_accepted(void **state)
{
	walk("tests/data/config/good", true, 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(broken_configurations_are_refused_with_their_place),
	    cmocka_unit_test(sound_configurations_are_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
