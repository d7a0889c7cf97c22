/*
 * The rows of conf/rules/, sorted by message, and their carrying out.
 */
#include <inttypes.h>
#include <stdio.h>

#include "conf/check_private.h"
#include "conf/wellknown.h"
#include "envoy/config/accesslog/v3/accesslog.pb-c.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "envoy/config/core/v3/config_source.pb-c.h"
#include "envoy/config/core/v3/grpc_service.pb-c.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "envoy/extensions/clusters/dns/v3/dns_cluster.pb-c.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "envoy/extensions/load_balancing_policies/common/v3/common.pb-c.h"
#include "envoy/extensions/health_check/event_sinks/file/v3/file.pb-c.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb-c.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb-c.h"
#include "envoy/extensions/load_balancing_policies/override_host/v3/override_host.pb-c.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb-c.h"
#include "envoy/extensions/load_balancing_policies/subset/v3/subset.pb-c.h"
#include "envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.pb-c.h"
#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb-c.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb-c.h"
#include "google/protobuf/duration.pb-c.h"
#include "lib/base/assert.h"

enum rule_kind {
	RULE_NEEDS,
	RULE_NEEDS_ONE,
	RULE_WITHIN,
	RULE_LEAST_MS,
	RULE_MOST_MS,
	RULE_ITEMS,
	RULE_ONLY,
	RULE_HEADER_NAME,
	RULE_HEADER_TEXT,
	RULE_DEPRECATED,
	RULE_IGNORED,
};

struct rule {
	const ProtobufCMessageDescriptor *type;
	const char *field;
	enum rule_kind kind;
	uint64_t least, most;
	const char *text;
	const ProtobufCFieldDescriptor *f; /* filled at first use */
	const struct rule *next;	   /* of the same message */
};

#define VALUE(n) (1u << (n))
#define RULE(message, ...) {&message##__descriptor, __VA_ARGS__, NULL, NULL},
#define NEEDS(message, field) RULE(message, field, RULE_NEEDS, 0, 0, NULL)
#define NEEDS_ONE(message, field, names) RULE(message, field, RULE_NEEDS_ONE, 0, 0, names)
#define WITHIN(message, field, least, most) RULE(message, field, RULE_WITHIN, least, most, NULL)
#define LEAST_MS(message, field, ms) RULE(message, field, RULE_LEAST_MS, ms, 0, NULL)
#define MOST_MS(message, field, ms) RULE(message, field, RULE_MOST_MS, 0, ms, NULL)
#define ITEMS(message, field, most) RULE(message, field, RULE_ITEMS, 0, most, NULL)
#define ONLY(message, field, mask) RULE(message, field, RULE_ONLY, mask, 0, NULL)
#define HEADER_NAME(message, field) RULE(message, field, RULE_HEADER_NAME, 0, 0, NULL)
#define HEADER_TEXT(message, field) RULE(message, field, RULE_HEADER_TEXT, 0, 0, NULL)
#define DEPRECATED(message, field, instead) RULE(message, field, RULE_DEPRECATED, 0, 0, instead)
#define IGNORED(message, field, why) RULE(message, field, RULE_IGNORED, 0, 0, why)
static struct rule rules[] = {
#include "conf/rules/deprecated.def"
#include "conf/rules/fields.def"
#include "conf/rules/ignored.def"
};

/* message descriptor → its first rule; the last row of a message comes first. */
static struct map first_rules;

static struct str
pointer_key(const ProtobufCMessageDescriptor *const *type)
{
	return str_make((const char *)type, sizeof(*type));
}

static const struct rule *
rules_of(const ProtobufCMessageDescriptor *type)
{
	if (first_rules.len == 0) {
		for (size_t i = ARRAY_LEN(rules); i > 0; i--) {
			struct rule *r = &rules[i - 1];

			r->f = message_field_named(r->type, str_of(r->field));
			ASSERT(r->f);
			r->next = map_put(&first_rules, pointer_key(&r->type), r);
		}
	}
	return map_get(&first_rules, pointer_key(&type));
}

static bool
number_of(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, uint64_t *out)
{
	const void *at = message_field(m, f);

	if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
		m = *(ProtobufCMessage *const *)at;
		f = m->descriptor->fields;
		at = message_field(m, f);
	}
	switch (f->type) {
	case PROTOBUF_C_TYPE_UINT32:
		*out = *(const uint32_t *)at;
		return true;
	case PROTOBUF_C_TYPE_UINT64:
		*out = *(const uint64_t *)at;
		return true;
	default:
		return false;
	}
}

static void
check_within(struct checked *k, const struct rule *r)
{
	uint64_t v = 0;

	ASSERT(number_of(k->m, r->f, &v));
	if (v >= r->least && v <= r->most)
		return;
	if (r->most == UINT32_MAX)
		fail(k, r->field, "must be at least %" PRIu64 ", not %" PRIu64, r->least, v);
	else
		fail(k, r->field, "must be from %" PRIu64 " to %" PRIu64 ", not %" PRIu64, r->least,
		    r->most, v);
}

static void
write_ms(char *out, size_t size, uint64_t ms)
{
	if (ms % 1000)
		snprintf(out, size, "%" PRIu64 ".%03" PRIu64 "s", ms / 1000, ms % 1000);
	else
		snprintf(out, size, "%" PRIu64 "s", ms / 1000);
}

static void
check_ms(struct checked *k, const struct rule *r)
{
	const Google__Protobuf__Duration *d = *(void **)message_field(k->m, r->f);
	uint64_t ns = (uint64_t)d->seconds * 1000000000ull + (uint64_t)d->nanos;
	char bound[32];

	if (d->seconds < 0 || d->nanos < 0) /* said by check_duration */
		return;
	if (r->kind == RULE_LEAST_MS && d->seconds < 1000000 && ns < r->least * 1000000) {
		write_ms(bound, sizeof(bound), r->least);
		fail(k, r->field, "must be at least %s", bound);
	}
	if (r->kind == RULE_MOST_MS && (d->seconds > 1000000 || ns > r->most * 1000000)) {
		write_ms(bound, sizeof(bound), r->most + 1);
		fail(k, r->field, "must be less than %s", bound);
	}
}

static void
check_only(struct checked *k, const struct rule *r)
{
	const ProtobufCEnumDescriptor *e = r->f->descriptor;
	int v = *(int *)message_field(k->m, r->f);
	const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(e, v);

	if (!known)
		fail(k, r->field, "%d is none of its values", v);
	else if (!(r->least & VALUE(v)))
		fail(k, r->field, "%s is " NOT_YET, known->name);
}

static void
check_header_name(struct checked *k, const struct rule *r, const char *name, int index)
{
	if (name[0] == ':' || str_ieqz(str_of(name), "host"))
		fail_item(k, r->field, index, "':' headers and host cannot be removed");
	else if (!is_header_name(str_of(name), false))
		fail_item(k, r->field, index, "'%s' is not a header name", name);
}

static void
check_needs_one(struct checked *k, const struct rule *r)
{
	if (*(uint32_t *)((char *)k->m + r->f->quantifier_offset) != 0)
		return;
	for (unsigned i = 0; i < k->m->descriptor->n_fields;
	     i++) { /* written, but wrongly: said already */
		const ProtobufCFieldDescriptor *f = &k->m->descriptor->fields[i];

		if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
		    f->quantifier_offset == r->f->quantifier_offset && checked_written(k, f->name))
			return;
	}
	if (!checked_wrote_unsupported(k)) /* which may be a member that we do not have */
		fail(k, NULL, "needs %s", r->text);
}

/* Rules about a field that is set. */
static void
check_set(struct checked *k, const struct rule *r)
{
	const void *at = message_field(k->m, r->f);

	switch (r->kind) {
	case RULE_WITHIN:
		check_within(k, r);
		break;
	case RULE_LEAST_MS:
	case RULE_MOST_MS:
		check_ms(k, r);
		break;
	case RULE_ITEMS:
		if (message_count(k->m, r->f) > r->most)
			fail(k, r->field, "has more than %" PRIu64 " entries", r->most);
		break;
	case RULE_ONLY:
		check_only(k, r);
		break;
	case RULE_HEADER_NAME:
		for (size_t i = 0; i < message_count(k->m, r->f); i++)
			check_header_name(k, r, (*(char ***)at)[i], (int)i);
		break;
	case RULE_HEADER_TEXT:
		if (!is_header_value(str_of(*(char *const *)at)))
			fail(k, r->field, "cannot stand in a header: it holds a control character");
		break;
	case RULE_DEPRECATED:
		warn(k, r->field, "%s is deprecated: use %s", r->field, r->text);
		break;
	case RULE_IGNORED:
		warn(k, r->field, "%s has no effect: %s", r->field, r->text);
		break;
	default:
		break;
	}
}

static bool
is_empty(const struct checked *k, const struct rule *r)
{
	return !message_has(k->m, r->f) ||
	       (r->f->type == PROTOBUF_C_TYPE_STRING && r->f->label != PROTOBUF_C_LABEL_REPEATED &&
		   (*(char **)message_field(k->m, r->f))[0] == '\0');
}

static void
check_needs(struct checked *k, const struct rule *r)
{
	bool chosen = !(r->f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) || message_has(k->m, r->f);

	if (chosen && is_empty(k, r)) /* of a oneof, NEEDS_ONE speaks */
		fail(k, r->field,
		    checked_written(k, r->field) ? "must not be empty" : "is required");
}

void
rules_check(struct checked *k)
{
	for (const struct rule *r = rules_of(k->m->descriptor); r; r = r->next) {
		if (r->kind == RULE_NEEDS_ONE)
			check_needs_one(k, r);
		else if (r->kind == RULE_NEEDS)
			check_needs(k, r);
		else if (message_has(k->m, r->f))
			check_set(k, r);
	}
}
