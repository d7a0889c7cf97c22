#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "lib/base/list.h"
#include "lib/base/vec.h"

struct item {
	int n;
	struct list node;
};

static int
sum(struct list *head)
{
	int digits = 0;

	list_for_each(n, head) digits = digits * 10 + list_entry(n, struct item, node)->n;
	return digits;
}

static void
items_stand_in_the_order_they_were_pushed(void **state)
{
	struct item one = {.n = 1}, two = {.n = 2}, three = {.n = 3};
	struct list head = {0};

	assert_true(list_empty(&head));
	list_init(&head);
	assert_true(list_empty(&head));
	assert_null(list_first(&head));
	list_push_back(&head, &two.node);
	list_push_back(&head, &three.node);
	list_push_front(&head, &one.node);
	assert_int_equal(sum(&head), 123);
	assert_ptr_equal(list_last(&head), &three.node);
	assert_true(list_linked(&two.node));
	list_remove(&two.node);
	assert_false(list_linked(&two.node));
	list_remove(&two.node);
	assert_int_equal(sum(&head), 13);
	assert_ptr_equal(list_pop_front(&head), &one.node);
	assert_ptr_equal(list_pop_front(&head), &three.node);
	assert_null(list_pop_front(&head));
}

static void
the_current_item_may_leave_during_a_walk(void **state)
{
	struct item items[5];
	struct list head;
	int seen = 0;

	list_init(&head);
	for (int i = 0; i < 5; i++) {
		items[i] = (struct item){.n = i + 1};
		list_push_back(&head, &items[i].node);
	}
	list_for_each(n, &head)
	{
		seen++;
		if (list_entry(n, struct item, node)->n % 2)
			list_remove(n);
	}
	assert_int_equal(seen, 5);
	assert_int_equal(sum(&head), 24);
}

static void
an_array_grows_and_closes_its_gaps(void **state)
{
	VEC(int) v = {0};

	for (int i = 0; i < 100; i++)
		*vec_push(&v) = i;
	vec_remove(&v, 0);
	vec_remove(&v, 98);
	assert_int_equal(v.len, 98);
	assert_int_equal(v.at[0], 1);
	assert_int_equal(v.at[97], 98);
	assert_int_equal(*vec_push(&v), 0);
	vec_fini(&v);
	assert_int_equal(v.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(items_stand_in_the_order_they_were_pushed),
	    cmocka_unit_test(the_current_item_may_leave_during_a_walk),
	    cmocka_unit_test(an_array_grows_and_closes_its_gaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
