/* Members of a cluster that is in use change: who stays, who goes, and when its memory does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/upstream/cluster_update.h"
#include "lib/upstream/host_set.h"
#include "lib/upstream/membership.h"
#include "shm/lane.h"
#include "tests/unit/lib/upstream/cluster_yaml.h"

/* "1=10.0.0.1:80*3/a" puts number 1 with weight 3 in zone a; "-1" removes it; "!150" is the policy. */
static void
write_word(struct membership_writer *w, struct str word)
{
	struct endpoint e = {.weight = 1};
	struct assignment_policy p = {0};
	struct str number, address, weight;
	uint64_t v;

	if (word.p[0] == '!') {
		assert_true(str_u64(str_make(word.p + 1, word.n - 1), &v));
		p.overprovisioning = (uint32_t)v;
		membership_policy(w, &p);
		return;
	}
	if (word.p[0] == '-') {
		assert_true(str_u64(str_make(word.p + 1, word.n - 1), &v));
		membership_remove(w, (uint32_t)v);
		return;
	}
	str_cut(&word, '=', &number);
	str_cut(&word, '/', &address);
	e.locality = locality_get(STR(""), word.p ? word : STR(""), STR(""));
	word = address;
	str_cut(&word, '*', &address);
	weight = word;
	if (weight.p && str_u64(weight, &v))
		e.weight = (uint32_t)v;
	assert_true(str_u64(number, &v));
	assert_int_equal(address_parse(&e.address, address, NULL), 0);
	membership_put(w, (uint32_t)v, &e);
	endpoint_fini(&e);
}

static void
write_record(struct membership_writer *w, bool whole, uint64_t from, uint64_t to, const char *words)
{
	struct str rest = str_of(words), word;

	membership_begin(w, whole, 0, from, to);
	while (str_cut(&rest, ' ', &word))
		if (word.n)
			write_word(w, word);
}

static int
take(struct cluster_update *u, bool whole, uint64_t from, uint64_t to, const char *words,
    struct err *err)
{
	struct membership_writer w;
	int more;

	write_record(&w, whole, from, to, words);
	more = cluster_update_record(u, strb_str(&w.bytes), err) < 0 ? -1 : 1;
	while (more > 0)
		more = cluster_update_step(u, err);
	membership_writer_fini(&w);
	return more;
}

static void
apply(struct cluster *c, bool whole, uint64_t from, uint64_t to, const char *words)
{
	struct cluster_update *u = cluster_update_new(c);
	struct err err = {""};

	if (take(u, whole, from, to, words, &err) < 0)
		fail_msg("%s", err.text);
	cluster_update_use(u);
	cluster_update_free(&u);
}

/* "10.0.0.1:80*3/a 10.0.0.2:80*1/" in the order of the cluster. */
static void
expect(const struct cluster *c, const char *want)
{
	struct strb b = {0};
	char text[ADDRESS_TEXT];

	for (uint32_t i = 0; i < c->hosts_n; i++) {
		const struct host *h = c->hosts[i];

		assert_int_equal(h->index, i);
		assert_ptr_equal(c->by_number[h->number], h);
		address_format(&h->address, text);
		strb_printf(&b, "%s%s*%u/", i ? " " : "", text, h->weight);
		if (h->locality)
			strb_adds(&b, h->locality->zone);
	}
	assert_string_equal(strb_z(&b), want);
	strb_fini(&b);
}

static int
setup(void **state)
{
	lane_private();
	*state = loop_new();
	return 0;
}

static int
teardown(void **state)
{
	struct loop *l = *state;

	assert_int_equal(upstream_departed, 0);
	loop_free(&l);
	return 0;
}

static void
members_come_change_and_go(void **state)
{
	struct cluster *c = cluster_from_yaml(*state, "");
	struct host *one;

	assert_null(cluster_pick(c, &(struct lb_context){0}));
	apply(c, true, 0, 5, "0=10.0.0.1:80 1=10.0.0.2:80*2/a");
	expect(c, "10.0.0.1:80*1/ 10.0.0.2:80*2/a");
	one = c->hosts[0];
	apply(c, false, 5, 6, "-1 0=10.0.0.1:80*7/b 3=10.0.0.4:80");
	expect(c, "10.0.0.1:80*7/b 10.0.0.4:80*1/");
	assert_ptr_equal(c->hosts[0], one); /* with its connections */
	apply(c, false, 6, 7, "-0 -3");
	expect(c, "");
	assert_null(cluster_pick(c, &(struct lb_context){0}));
	cluster_end(*state, &c);
}

static void
a_whole_record_keeps_whom_it_names(void **state)
{
	struct cluster *c = cluster_from_yaml(*state, "");
	struct host *one;

	apply(c, true, 0, 5, "0=10.0.0.1:80 1=10.0.0.2:80 2=10.0.0.3:80 !200");
	assert_int_equal(c->policy_of_members.overprovisioning, 200);
	one = c->hosts[1];
	apply(c, true, 5, 9, "1=10.0.0.2:80*4 2=10.0.0.9:80");
	expect(c, "10.0.0.2:80*4/ 10.0.0.9:80*1/");
	assert_ptr_equal(c->hosts[0], one);
	assert_int_equal(c->policy_of_members.overprovisioning, OVERPROVISIONING);
	cluster_end(*state, &c);
}

static void
nothing_changes_before_it_is_used(void **state)
{
	struct cluster *c = cluster_from_yaml(*state, "");
	struct cluster_update *u;
	struct err err;

	apply(c, true, 0, 5, "0=10.0.0.1:80");
	u = cluster_update_new(c);
	assert_int_equal(take(u, false, 5, 6, "0=10.0.0.1:80*9 1=10.0.0.2:80", &err), 0);
	expect(c, "10.0.0.1:80*1/");
	cluster_update_free(&u);
	expect(c, "10.0.0.1:80*1/");
	u = cluster_update_new(c);
	assert_int_equal(take(u, false, 5, 6, "-0 0=10.0.0.7:80", &err), 0);
	assert_int_equal(take(u, false, 6, 7, "0=10.0.0.8:80 4=10.0.0.9:80", &err), 0);
	assert_int_equal(take(u, false, 7, 8, "-4", &err), 0);
	cluster_update_use(u);
	cluster_update_free(&u);
	expect(c, "10.0.0.8:80*1/");
	assert_int_equal(c->members_serial, 8);
	cluster_end(*state, &c);
}

static void
records_are_taken_once_and_in_order(void **state)
{
	struct cluster *c = cluster_from_yaml(*state, "");
	struct cluster_update *u = cluster_update_new(c);
	struct err err;

	assert_int_equal(take(u, true, 0, 5, "0=10.0.0.1:80", &err), 0);
	assert_int_equal(take(u, false, 6, 7, "-0", &err), -1);
	assert_string_equal(err.text, "members: a record is missing");
	assert_int_equal(take(u, false, 4, 5, "-0", &err), 0); /* it is there already */
	cluster_update_use(u);
	expect(c, "10.0.0.1:80*1/");
	cluster_update_free(&u);
	cluster_end(*state, &c);
}

static void
a_removed_host_lives_as_long_as_somebody_uses_it(void **state)
{
	struct cluster *c = cluster_from_yaml(*state, "");
	struct arena a;
	struct host *h;

	arena_init(&a);
	apply(c, true, 0, 5, "0=10.0.0.1:80 1=10.0.0.2:80");
	h = host_keep(c->hosts[1], &a);
	apply(c, false, 5, 6, "-1 0=10.0.0.1:80*2");
	assert_true(h->removed);
	assert_int_equal(upstream_departed, 1);
	for (int i = 0; i < 10; i++)
		assert_ptr_equal(cluster_pick(c, &(struct lb_context){0}), c->hosts[0]);
	arena_fini(&a);
	assert_int_equal(upstream_departed, 0);
	cluster_end(*state, &c);
}

static void
damage_is_refused(void **state)
{
	struct cluster *c = cluster_from_yaml(*state, "");
	struct membership_writer w;
	struct err err;

	write_record(&w, true, 0, 5, "0=10.0.0.1:80/zone 1=10.0.0.2:80/zone");
	for (size_t n = 0; n < w.bytes.n; n++) {
		struct cluster_update *u = cluster_update_new(c);
		char *cut = mem_dup(w.bytes.p, n + 1);
		int more = cluster_update_record(u, str_make(cut, n), &err) < 0 ? -1 : 1;

		while (more > 0)
			more = cluster_update_step(u, &err);
		cluster_update_free(&u);
		mem_free(cut);
	}
	membership_writer_fini(&w);
	cluster_end(*state, &c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(members_come_change_and_go, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_whole_record_keeps_whom_it_names, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_changes_before_it_is_used, setup, teardown),
	    cmocka_unit_test_setup_teardown(records_are_taken_once_and_in_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_removed_host_lives_as_long_as_somebody_uses_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(damage_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
