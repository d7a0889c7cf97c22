/* Snapshots built from a journal, in slices, sharing what did not change. */
#include "tests/unit/worker/world.h"

#include "lib/upstream/cluster.h"

static const char yaml[] = "  clusters:\n"
			   "  - name: one\n"
			   "    load_assignment: { cluster_name: one }\n"
			   "  - name: two\n"
			   "    load_assignment: { cluster_name: two }\n";

static struct journal *
journal_with(const char *more)
{
	char *text = mem_printf("%s%s%s%s%s", yaml_node, yaml_head, yaml_router, yaml, more);
	struct journal *j = write_journal(text);

	mem_free(text);
	return j;
}

static void
everything_is_found_by_name(void **state)
{
	struct loop *l;
	struct journal *j;
	struct snapshot *s;

	lane_private();
	l = loop_new();
	j = journal_with("");
	s = build_snapshot(l, j, NULL, NULL);
	assert_non_null(s);
	assert_non_null(snapshot_cluster(s, STR("one")));
	assert_true(str_eqz(snapshot_cluster(s, STR("two"))->name, "two"));
	assert_null(snapshot_cluster(s, STR("three")));
	assert_non_null(snapshot_listener(s, 0));
	assert_null(snapshot_listener(s, 1));
	assert_ptr_equal(
	    snapshot_listener_by_key(s, STR("127.0.0.1:8000")), snapshot_listener(s, 0));
	assert_null(snapshot_listener_by_key(s, STR("127.0.0.1:8001")));
	assert_int_equal(snapshot_offset(s), journal_size(j));
	snapshot_unref(&s);
	journal_free(&j);
	loop_turn(l, false);
	loop_free(&l);
}

static void
clusters_that_did_not_change_are_shared(void **state)
{
	struct loop *l;
	struct journal *j, *next;
	struct snapshot *s, *t;
	struct cluster *one;

	lane_private();
	l = loop_new();
	j = journal_with("");
	next = journal_with("    connect_timeout: 3s\n"); /* of the last one */
	s = build_snapshot(l, j, NULL, NULL);
	t = build_snapshot(l, next, s, NULL);
	one = snapshot_cluster(s, STR("one"));
	assert_ptr_equal(snapshot_cluster(t, STR("one")), one);
	assert_ptr_not_equal(snapshot_cluster(t, STR("two")), snapshot_cluster(s, STR("two")));
	snapshot_unref(&s);
	assert_ptr_equal(snapshot_cluster(t, STR("one")), one);
	snapshot_unref(&t);
	journal_free(&j);
	journal_free(&next);
	loop_turn(l, false);
	loop_free(&l);
}

static void
a_record_that_cannot_be_built_is_refused_with_its_name(void **state)
{
	struct err err = {""};
	struct loop *l;
	struct journal *j;

	lane_private();
	l = loop_new();
	j = journal_with("");
	assert_int_equal(
	    journal_append(j, RESOURCE_LISTENER, STR("bad"), STR("v"), STR("junk"), NULL), 0);
	assert_null(build_snapshot(l, j, NULL, &err));
	assert_non_null(strstr(err.text, "'bad'"));
	journal_free(&j);
	j = journal_with("");
	assert_int_equal(
	    journal_append(j, RESOURCE_ROUTES, STR("later"), STR("v"), STR("x"), NULL), 0);
	assert_null(build_snapshot(l, j, NULL, &err));
	assert_non_null(strstr(err.text, "'later'"));
	journal_free(&j);
	loop_turn(l, false);
	loop_free(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything_is_found_by_name),
	    cmocka_unit_test(clusters_that_did_not_change_are_shared),
	    cmocka_unit_test(a_record_that_cannot_be_built_is_refused_with_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
