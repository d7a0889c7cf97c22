#include "conf/dump.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "conf/message.h"
#include "conf/types.h"
#include "conf/wellknown.h"
#include "google/protobuf/any.pb-c.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "lib/base/err.h"
#include "lib/base/json_out.h"
#include "lib/base/task.h"

static void dump_message(struct json_out *j, const ProtobufCMessage *m,
    const struct dump_options *o, const char *type_url);
static void dump_form(struct json_out *j, const ProtobufCMessage *m, const struct dump_options *o);
static void dump_struct(struct json_out *j, const Google__Protobuf__Struct *s);

static bool
is_secret(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f)
{
	static const struct {
		const char *message, *field;
	} rows[] = {
#define SECRET(message, field) {message, field},
#include "conf/rules/secrets.def"
#undef SECRET
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (str_eqz(str_of(d->name), rows[i].message) &&
		    str_eqz(str_of(f->name), rows[i].field))
			return true;
	return false;
}

static void
dump_bytes(struct json_out *j, const ProtobufCBinaryData *b)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct strb text = {0};

	for (size_t i = 0; i < b->len; i += 3) {
		size_t n = b->len - i < 3 ? b->len - i : 3;
		uint32_t bits = (uint32_t)b->data[i] << 16 |
				(n > 1 ? (uint32_t)b->data[i + 1] << 8 : 0) |
				(n > 2 ? b->data[i + 2] : 0);

		for (size_t k = 0; k < 4; k++)
			strb_addc(&text, k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=');
	}
	json_string(j, strb_str(&text));
	strb_fini(&text);
}

static void
dump_double(struct json_out *j, double d)
{
	if (isfinite(d))
		json_double(j, d);
	else
		json_stringz(j, isnan(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity");
}

static void
dump_enum(struct json_out *j, const ProtobufCEnumDescriptor *d, int v)
{
	const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(d, v);

	if (known)
		json_stringz(j, known->name);
	else
		json_i64(j, v);
}

/* "6s", "0.250s", with three, six or nine digits behind the point. */
static void
dump_duration(struct json_out *j, const Google__Protobuf__Duration *d)
{
	uint32_t nanos = (uint32_t)(d->nanos < 0 ? -(int64_t)d->nanos : d->nanos);
	uint64_t s = d->seconds < 0 ? 0 - (uint64_t)d->seconds : (uint64_t)d->seconds;
	const char *sign = d->seconds < 0 || d->nanos < 0 ? "-" : "";

	if (nanos == 0)
		json_printf(j, "%s%" PRIu64 "s", sign, s);
	else if (nanos % 1000000 == 0)
		json_printf(j, "%s%" PRIu64 ".%03" PRIu32 "s", sign, s, nanos / 1000000);
	else if (nanos % 1000 == 0)
		json_printf(j, "%s%" PRIu64 ".%06" PRIu32 "s", sign, s, nanos / 1000);
	else
		json_printf(j, "%s%" PRIu64 ".%09" PRIu32 "s", sign, s, nanos);
}

static void
dump_value(struct json_out *j, const Google__Protobuf__Value *v)
{
	switch (v->kind_case) {
	case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
		dump_double(j, v->number_value);
		return;
	case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
		json_stringz(j, v->string_value);
		return;
	case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
		json_bool(j, v->bool_value);
		return;
	case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
		dump_struct(j, v->struct_value);
		return;
	case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE:
		json_array(j);
		for (size_t i = 0; i < v->list_value->n_values; i++)
			dump_value(j, v->list_value->values[i]);
		json_end(j);
		return;
	default:
		json_null(j);
	}
}

static void
dump_struct(struct json_out *j, const Google__Protobuf__Struct *s)
{
	json_object(j);
	for (size_t i = 0; i < s->n_fields; i++) {
		json_keyz(j, s->fields[i]->key);
		dump_value(j, s->fields[i]->value);
	}
	json_end(j);
}

static void
dump_any(struct json_out *j, const Google__Protobuf__Any *any, const struct dump_options *o)
{
	struct arena arena;
	struct err err;
	const ProtobufCMessage *inner;

	arena_init(&arena);
	inner = any_open(&arena, &any->base, NULL, &err);
	if (inner) {
		dump_message(j, inner, o, any->type_url);
	} else {
		json_object(j);
		json_keyz(j, "@type");
		json_stringz(j, any->type_url);
		json_end(j);
	}
	arena_fini(&arena);
}

/* One value of a field; `at` is where it lies. */
static void
dump_one(struct json_out *j, const ProtobufCFieldDescriptor *f, const void *at,
    const struct dump_options *o)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		dump_form(j, *(ProtobufCMessage *const *)at, o);
		break;
	case PROTOBUF_C_TYPE_STRING:
		json_stringz(j, *(char *const *)at);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		dump_bytes(j, at);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		json_bool(j, *(const protobuf_c_boolean *)at);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		dump_enum(j, f->descriptor, *(const int *)at);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		dump_double(j, (double)*(const float *)at);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		dump_double(j, *(const double *)at);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		json_u64(j, *(const uint32_t *)at);
		break;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		json_i64(j, *(const int32_t *)at);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		json_printf(j, "%" PRIu64, *(const uint64_t *)at);
		break;
	default:
		json_printf(j, "%" PRId64, *(const int64_t *)at);
	}
}

static void
dump_list(struct json_out *j, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
    const struct dump_options *o)
{
	const char *items = *(char **)message_field(m, f);

	json_array(j);
	for (size_t i = 0; i < message_count(m, f); i++)
		dump_one(j, f, items + i * message_value_size(f), o);
	json_end(j);
}

static void
dump_map(struct json_out *j, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
    const struct dump_options *o)
{
	ProtobufCMessage *const *entries = *(ProtobufCMessage ***)message_field(m, f);

	json_object(j);
	for (size_t i = 0; i < message_count(m, f); i++) {
		const ProtobufCFieldDescriptor *fields = entries[i]->descriptor->fields;

		json_keyz(j, *(char **)message_field(entries[i], &fields[0]));
		dump_one(j, &fields[1], message_field(entries[i], &fields[1]), o);
	}
	json_end(j);
}

static void
dump_field(struct json_out *j, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
    const struct dump_options *o)
{
	bool has = message_has(m, f);
	bool in_oneof = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;

	if (!has &&
	    (!o->defaults || in_oneof ||
		(f->type == PROTOBUF_C_TYPE_MESSAGE && f->label != PROTOBUF_C_LABEL_REPEATED)))
		return;
	json_keyz(j, f->name);
	if (has && is_secret(m->descriptor, f))
		json_stringz(j, "[redacted]");
	else if (message_field_is_map(f))
		dump_map(j, m, f, o);
	else if (f->label == PROTOBUF_C_LABEL_REPEATED)
		dump_list(j, m, f, o);
	else
		dump_one(j, f, message_field(m, f), o);
}

static void
dump_message(struct json_out *j, const ProtobufCMessage *m, const struct dump_options *o,
    const char *type_url)
{
	task_breathe();
	json_object(j);
	if (type_url) {
		json_keyz(j, "@type");
		json_stringz(j, type_url);
	}
	for (unsigned i = 0; i < m->descriptor->n_fields; i++)
		dump_field(j, m, &m->descriptor->fields[i], o);
	json_end(j);
}

/* A message in the form that proto3 JSON has for it. */
static void
dump_form(struct json_out *j, const ProtobufCMessage *m, const struct dump_options *o)
{
	const ProtobufCFieldDescriptor *first = m->descriptor->fields;
	const Google__Protobuf__ListValue *list;

	switch (wellknown_of(m->descriptor)) {
	case WELLKNOWN_DURATION:
		dump_duration(j, (const void *)m);
		return;
	case WELLKNOWN_WRAPPER:
		dump_one(j, first, message_field(m, first), o);
		return;
	case WELLKNOWN_ANY:
		dump_any(j, (const void *)m, o);
		return;
	case WELLKNOWN_STRUCT:
		dump_struct(j, (const void *)m);
		return;
	case WELLKNOWN_VALUE:
		dump_value(j, (const void *)m);
		return;
	case WELLKNOWN_LIST:
		list = (const void *)m;
		json_array(j);
		for (size_t i = 0; i < list->n_values; i++)
			dump_value(j, list->values[i]);
		json_end(j);
		return;
	case WELLKNOWN_NONE:
		dump_message(j, m, o, NULL);
		return;
	}
}

void
conf_dump(struct json_out *j, const ProtobufCMessage *m, const struct dump_options *o)
{
	if (o->type)
		dump_message(j, m, o, o->type);
	else
		dump_form(j, m, o);
}
