/* RetryPolicy messages: words, defaults, what overrides what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/message.h"
#include "envoy/config/route/v3/route_components.pb-c.h"
#include "envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config.pb-c.h"
#include "lib/upstream/shared.h"
#include "worker/route/retry_policy.h"

typedef Envoy__Config__Route__V3__RetryPolicy RetryPolicy;
#define NEW(a, type) ((void *)message_new((a), &type##__descriptor))

static void
words_are_read_and_unknown_ones_passed_over(void **state)
{
	assert_int_equal(retry_on_read(STR("")), 0);
	assert_int_equal(retry_on_read(STR("5xx")), RETRY_ON_5XX);
	assert_int_equal(retry_on_read(STR(" 5xx , reset,,x")), RETRY_ON_5XX | RETRY_ON_RESET);
	assert_int_equal(retry_on_read(STR("cancelled,connect-failure")),
	    RETRY_ON_CANCELLED | RETRY_ON_CONNECT_FAILURE);
	assert_int_equal(
	    retry_on_read_http(STR("cancelled,connect-failure")), RETRY_ON_CONNECT_FAILURE);
	assert_int_equal(retry_on_read_grpc(STR("cancelled,connect-failure")), RETRY_ON_CANCELLED);
	assert_int_equal(retry_on_read(STR("5XX")), 0);
}

static void
what_is_not_said_has_envoys_default(void **state)
{
	struct arena a;
	struct retry_policy *p;
	struct err err;
	RetryPolicy *m;

	arena_init(&a);
	m = NEW(&a, envoy__config__route__v3__retry_policy);
	assert_int_equal(retry_policy_build(&p, m, &a, &err), 0);
	assert_int_equal(p->on, 0);
	assert_int_equal(p->num_retries, 1);
	assert_int_equal(p->base_ms, 25);
	assert_int_equal(p->max_ms, 250);
	assert_int_equal(p->host_attempts, 1);
	assert_int_equal(p->per_try_timeout_ms, 0);
	assert_int_equal(p->priority_frequency, 0);
	assert_int_equal(retry_policy_build(&p, NULL, &a, &err), 0);
	assert_null(p);
	arena_fini(&a);
}

static void
the_greatest_back_off_is_ten_times_the_least(void **state)
{
	struct arena a;
	struct retry_policy *p;
	struct err err;
	RetryPolicy *m;

	arena_init(&a);
	m = NEW(&a, envoy__config__route__v3__retry_policy);
	m->retry_back_off = NEW(&a, envoy__config__route__v3__retry_policy__retry_back_off);
	m->retry_back_off->base_interval = NEW(&a, google__protobuf__duration);
	m->retry_back_off->base_interval->nanos = 40000000;
	assert_int_equal(retry_policy_build(&p, m, &a, &err), 0);
	assert_int_equal(p->base_ms, 40);
	assert_int_equal(p->max_ms, 400);
	arena_fini(&a);
}

static void *
list_of_one(struct arena *a, void *item)
{
	return (void *)arena_dup(a, (const char *)&item, sizeof(item));
}

/* One key and its value in envoy.lb of a Metadata. */
static Envoy__Config__Core__V3__Metadata *
label(struct arena *a, char *key, char *value)
{
	Envoy__Config__Core__V3__Metadata *m = NEW(a, envoy__config__core__v3__metadata);
	Envoy__Config__Core__V3__Metadata__FilterMetadataEntry *e =
	    NEW(a, envoy__config__core__v3__metadata__filter_metadata_entry);
	Google__Protobuf__Struct__FieldsEntry *f =
	    NEW(a, google__protobuf__struct__fields_entry);

	f->key = key;
	f->value = NEW(a, google__protobuf__value);
	f->value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
	f->value->string_value = value;
	e->key = (char *)"envoy.lb";
	e->value = NEW(a, google__protobuf__struct);
	e->value->n_fields = 1;
	e->value->fields = list_of_one(a, f);
	m->n_filter_metadata = 1;
	m->filter_metadata = list_of_one(a, e);
	return m;
}

static bool
omits(const struct retry_policy *p, struct arena *a, char *key, char *value)
{
	struct strb packed = {0};
	struct metadata *md;
	struct err err;
	bool omitted;

	message_pack(&label(a, key, value)->base, &packed);
	assert_int_equal(metadata_get(&md, strb_str(&packed), &err), 0);
	strb_fini(&packed);
	omitted = retry_policy_omits(p, md);
	metadata_unref(&md);
	return omitted;
}

static void
labels_that_all_match_leave_a_host_out(void **state)
{
	struct arena a;
	struct retry_policy *p;
	struct strb packed = {0};
	struct err err;
	RetryPolicy *m;
	Envoy__Config__Route__V3__RetryPolicy__RetryHostPredicate *h;
	Envoy__Extensions__Retry__Host__OmitHostMetadata__V3__OmitHostMetadataConfig *config;

	arena_init(&a);
	m = NEW(&a, envoy__config__route__v3__retry_policy);
	h = NEW(&a, envoy__config__route__v3__retry_policy__retry_host_predicate);
	config = NEW(
	    &a, envoy__extensions__retry__host__omit_host_metadata__v3__omit_host_metadata_config);
	config->metadata_match = label(&a, (char *)"version", (char *)"old");
	message_pack(&config->base, &packed);
	h->typed_config = NEW(&a, google__protobuf__any);
	h->typed_config->type_url = (char *)"type.googleapis.com/envoy.extensions.retry.host."
					    "omit_host_metadata.v3.OmitHostMetadataConfig";
	h->typed_config->value.data = (uint8_t *)strb_z(&packed);
	h->typed_config->value.len = packed.n;
	m->n_retry_host_predicate = 1;
	m->retry_host_predicate = list_of_one(&a, h);
	assert_int_equal(retry_policy_build(&p, m, &a, &err), 0);
	strb_fini(&packed);
	assert_true(omits(p, &a, (char *)"version", (char *)"old"));
	assert_false(omits(p, &a, (char *)"version", (char *)"new"));
	assert_false(omits(p, &a, (char *)"stage", (char *)"old"));
	assert_false(retry_policy_omits(p, NULL));
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_are_read_and_unknown_ones_passed_over),
	    cmocka_unit_test(what_is_not_said_has_envoys_default),
	    cmocka_unit_test(the_greatest_back_off_is_ten_times_the_least),
	    cmocka_unit_test(labels_that_all_match_leave_a_host_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
