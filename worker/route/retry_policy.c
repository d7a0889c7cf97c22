#include "worker/route/retry_policy.h"

#include "conf/defaults.h"
#include "conf/message.h"
#include "conf/types.h"
#include "envoy/config/route/v3/route_components.pb-c.h"
#include "envoy/extensions/retry/host/omit_canary_hosts/v3/omit_canary_hosts.pb-c.h"
#include "envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config.pb-c.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb-c.h"
#include "envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.pb-c.h"
#include "lib/base/assert.h"
#include "lib/upstream/shared.h"
#include "worker/route/match.h"

#define BASE_MS 25
#define RESET_MAX_MS 300000

typedef Envoy__Config__Route__V3__RetryPolicy RetryPolicy;
typedef Envoy__Config__Route__V3__RetryPolicy__RetryBackOff BackOff;
typedef Envoy__Config__Route__V3__RetryPolicy__RateLimitedRetryBackOff ResetBackOff;
typedef Envoy__Config__Route__V3__RetryPolicy__RetryHostPredicate Predicate;
typedef Envoy__Config__Route__V3__RetryPolicy__RetryPriority Priority;
typedef Envoy__Extensions__Retry__Priority__PreviousPriorities__V3__PreviousPrioritiesConfig
    PreviousPriorities;
typedef Envoy__Extensions__Retry__Host__OmitHostMetadata__V3__OmitHostMetadataConfig
    OmitHostMetadata;
typedef Google__Protobuf__Value Value;

#define PREVIOUS_HOSTS                                                                             \
	(&envoy__extensions__retry__host__previous_hosts__v3__previous_hosts_predicate__descriptor)
#define OMIT_CANARY                                                                                \
	(&envoy__extensions__retry__host__omit_canary_hosts__v3__omit_canary_hosts_predicate__descriptor)
#define OMIT_METADATA                                                                              \
	(&envoy__extensions__retry__host__omit_host_metadata__v3__omit_host_metadata_config__descriptor)
#define PREVIOUS_PRIORITIES                                                                        \
	(&envoy__extensions__retry__priority__previous_priorities__v3__previous_priorities_config__descriptor)

/* ---- conditions */

static const struct {
	const char *word;
	bool grpc;
} conditions[] = {
#define RETRY_ON(id, word) [RETRY_ON_BIT_##id] = {word, false},
#define RETRY_GRPC(id, word) [RETRY_ON_BIT_##id] = {word, true},
#include "conf/retry_on.def"
#undef RETRY_ON
#undef RETRY_GRPC
};

static uint32_t
read_words(struct str words, bool http, bool grpc)
{
	struct str word;
	uint32_t on = 0;

	while (str_cut(&words, ',', &word)) {
		word = str_trim(word);
		for (unsigned i = 0; i < RETRY_ON_BITS; i++)
			if (str_eqz(word, conditions[i].word) && (conditions[i].grpc ? grpc : http))
				on |= 1u << i;
	}
	return on;
}

uint32_t
retry_on_read(struct str words)
{
	return read_words(words, true, true);
}

uint32_t
retry_on_read_http(struct str words)
{
	return read_words(words, true, false);
}

uint32_t
retry_on_read_grpc(struct str words)
{
	return read_words(words, false, true);
}

bool
retry_on_is_sound(struct str words, bool grpc)
{
	struct str word;

	while (str_cut(&words, ',', &word)) {
		word = str_trim(word);
		if (word.n && read_words(word, !grpc, grpc) == 0)
			return false;
	}
	return true;
}

/* ---- back-off */

static void
read_back_off(struct retry_policy *p, const BackOff *m)
{
	p->base_ms = m ? conf_duration_ms(m->base_interval, BASE_MS) : BASE_MS;
	p->max_ms = m ? conf_duration_ms(m->max_interval, 10 * p->base_ms) : 10 * p->base_ms;
}

static void
read_reset_headers(struct retry_policy *p, const ResetBackOff *m, struct arena *a)
{
	if (m == NULL)
		return;
	p->reset_max_ms = conf_duration_ms(m->max_interval, RESET_MAX_MS);
	p->n_reset_headers = m->n_reset_headers;
	p->reset_headers = arena_zalloc(a, m->n_reset_headers * sizeof(*p->reset_headers));
	for (size_t i = 0; i < m->n_reset_headers; i++) {
		p->reset_headers[i].name = arena_lower(a, str_of(m->reset_headers[i]->name));
		p->reset_headers[i].unix_time =
		    m->reset_headers[i]->format ==
		    ENVOY__CONFIG__ROUTE__V3__RETRY_POLICY__RESET_HEADER_FORMAT__UNIX_TIMESTAMP;
	}
}

/* ---- where the next attempt goes */

/* What typed_config holds, or an empty message of what the name says; in the arena. */
static const ProtobufCMessage *
open_extension(enum type_category category, const char *name, const Google__Protobuf__Any *any,
    struct arena *a, struct err *err)
{
	const struct message_type *type;

	if (any && any->type_url && any->type_url[0])
		return any_open(a, &any->base, NULL, err);
	type = type_by_name(category, str_of(name));
	if (type && type->descriptor)
		return message_new(a, type->descriptor);
	err_set(err, "'%s' is not known", name);
	return NULL;
}

struct label {
	struct str key;
	const Value *value; /* in the arena */
};

static void
read_labels(struct retry_policy *p, const OmitHostMetadata *m, struct arena *a)
{
	const Google__Protobuf__Struct *s = NULL;
	struct label *l;

	for (size_t i = 0; m->metadata_match && i < m->metadata_match->n_filter_metadata; i++)
		if (strcmp(m->metadata_match->filter_metadata[i]->key, "envoy.lb") == 0)
			s = m->metadata_match->filter_metadata[i]->value;
	if (s == NULL)
		return;
	p->n_omit_labels = s->n_fields;
	p->omit_labels = l = arena_zalloc(a, s->n_fields * sizeof(*l));
	for (size_t i = 0; i < s->n_fields; i++)
		l[i] = (struct label){str_of(s->fields[i]->key), s->fields[i]->value};
}

static bool
value_equals(const Value *a, const Value *b)
{
	if (a->kind_case != b->kind_case)
		return false;
	switch (a->kind_case) {
	case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
		return strcmp(a->string_value, b->string_value) == 0;
	case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
		return a->number_value == b->number_value;
	case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
		return !a->bool_value == !b->bool_value;
	default:
		return a->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
	}
}

/* A list holds a value when one of its items is it. */
static bool
value_has(const Value *v, const Value *wanted)
{
	if (v->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE)
		return value_equals(v, wanted);
	for (size_t i = 0; i < v->list_value->n_values; i++)
		if (value_equals(v->list_value->values[i], wanted))
			return true;
	return false;
}

bool
retry_policy_omits(const struct retry_policy *p, struct metadata *host)
{
	for (size_t i = 0; i < p->n_omit_labels; i++) {
		const Value *v = metadata_lb(host, p->omit_labels[i].key);

		if (v == NULL || !value_has(v, p->omit_labels[i].value))
			return false;
	}
	return p->n_omit_labels > 0;
}

static int
read_predicate(struct retry_policy *p, const Predicate *m, struct arena *a, struct err *err)
{
	const ProtobufCMessage *config =
	    open_extension(TYPE_RETRY_HOST, m->name, m->typed_config, a, err);

	if (config == NULL)
		return err_in(err, "retry_host_predicate");
	p->previous_hosts |= config->descriptor == PREVIOUS_HOSTS;
	p->omit_canary |= config->descriptor == OMIT_CANARY;
	if (config->descriptor == OMIT_METADATA)
		read_labels(p, (const OmitHostMetadata *)config, a);
	return 0;
}

static int
read_priority(struct retry_policy *p, const Priority *m, struct arena *a, struct err *err)
{
	const ProtobufCMessage *config;

	if (m == NULL)
		return 0;
	config = open_extension(TYPE_RETRY_PRIORITY, m->name, m->typed_config, a, err);
	if (config == NULL)
		return err_in(err, "retry_priority");
	if (config->descriptor == PREVIOUS_PRIORITIES)
		p->priority_frequency =
		    (uint32_t)((const PreviousPriorities *)config)->update_frequency;
	if (p->priority_frequency == 0)
		return err_set(err, "retry_priority: update_frequency must be above 0");
	return 0;
}

/* ---- the whole */

static int
read_lists(struct retry_policy *p, const RetryPolicy *m, struct arena *a, struct err *err)
{
	p->n_codes = m->n_retriable_status_codes;
	p->codes = arena_alloc(a, p->n_codes * sizeof(*p->codes));
	for (size_t i = 0; i < p->n_codes; i++)
		p->codes[i] = m->retriable_status_codes[i];
	p->n_headers = m->n_retriable_headers;
	p->n_request_headers = m->n_retriable_request_headers;
	if (header_matches_build(
		&p->headers, (void *const *)m->retriable_headers, p->n_headers, a, err) < 0)
		return err_in(err, "retriable_headers");
	if (header_matches_build(&p->request_headers, (void *const *)m->retriable_request_headers,
		p->n_request_headers, a, err) < 0)
		return err_in(err, "retriable_request_headers");
	return 0;
}

int
retry_policy_build(struct retry_policy **out, const void *msg, struct arena *a, struct err *err)
{
	const RetryPolicy *m = msg;
	struct retry_policy *p;

	*out = NULL;
	if (m == NULL)
		return 0;
	p = arena_new(a, struct retry_policy);
	p->on = retry_on_read(str_of(m->retry_on));
	p->num_retries = conf_u32(m->num_retries, 1);
	p->per_try_timeout_ms = conf_duration_ms(m->per_try_timeout, 0);
	p->per_try_idle_ms = conf_duration_ms(m->per_try_idle_timeout, 0);
	p->host_attempts = m->host_selection_retry_max_attempts > 0
			       ? (uint32_t)(m->host_selection_retry_max_attempts > UINT16_MAX
						? UINT16_MAX
						: m->host_selection_retry_max_attempts)
			       : 1;
	read_back_off(p, m->retry_back_off);
	read_reset_headers(p, m->rate_limited_retry_back_off, a);
	for (size_t i = 0; i < m->n_retry_host_predicate; i++)
		if (read_predicate(p, m->retry_host_predicate[i], a, err) < 0)
			return -1;
	if (read_priority(p, m->retry_priority, a, err) < 0 || read_lists(p, m, a, err) < 0)
		return -1;
	*out = p;
	return 0;
}
