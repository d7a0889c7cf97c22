/* What many hosts have in common is there once, whoever else reads it at the same time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "conf/message.h"
#include "lib/base/task.h"
#include "lib/upstream/shared.h"

#define FIELDS 40 /* each is a breath or more when it is read */

typedef Google__Protobuf__Struct__FieldsEntry FieldsEntry;
typedef Envoy__Config__Core__V3__Metadata__FilterMetadataEntry FilterEntry;

struct reading {
	struct str packed;
	struct metadata *got;
};

/* envoy.lb: {k0: v, k1: v, …} */
static void
pack(struct strb *out)
{
	Envoy__Config__Core__V3__Metadata m = ENVOY__CONFIG__CORE__V3__METADATA__INIT;
	Google__Protobuf__Struct lb = GOOGLE__PROTOBUF__STRUCT__INIT;
	FilterEntry filter = ENVOY__CONFIG__CORE__V3__METADATA__FILTER_METADATA_ENTRY__INIT;
	FilterEntry *filters[] = {&filter};
	Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
	FieldsEntry entries[FIELDS], *fields[FIELDS];
	char keys[FIELDS][8];

	value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
	value.string_value = (char *)"v";
	for (unsigned i = 0; i < FIELDS; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%u", i);
		google__protobuf__struct__fields_entry__init(&entries[i]);
		entries[i].key = keys[i];
		entries[i].value = &value;
		fields[i] = &entries[i];
	}
	lb.n_fields = FIELDS;
	lb.fields = fields;
	filter.key = (char *)"envoy.lb";
	filter.value = &lb;
	m.n_filter_metadata = 1;
	m.filter_metadata = filters;
	message_pack(&m.base, out);
}

static void
read_it(void *arg)
{
	struct reading *r = arg;

	assert_int_equal(metadata_get(&r->got, r->packed, NULL), 0);
}

static void
one_that_two_tasks_read_at_a_time_is_one(void **state)
{
	struct strb packed = {0};
	struct reading first, second;
	struct task *a, *b;

	pack(&packed);
	first = second = (struct reading){strb_str(&packed), NULL};
	a = task_new(read_it, &first);
	b = task_new(read_it, &second);
	task_run(a, 0);
	task_finish(b);
	task_finish(a);
	assert_ptr_equal(first.got, second.got);
	assert_non_null(metadata_lb(first.got, STR("k7")));
	metadata_unref(&first.got);
	metadata_unref(&second.got);
	task_free(&a);
	task_free(&b);
	strb_fini(&packed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_that_two_tasks_read_at_a_time_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
