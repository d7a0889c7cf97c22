/*
 * Packed messages.  protobuf-c unpacks recursively without a limit and
 * makes of two bytes a structure of hundreds: nesting and number are
 * counted on the bytes before it may begin.
 */
#include "conf/message.h"

#include "lib/base/assert.h"
#include "lib/base/err.h"
#include "lib/base/task.h"

#define MESSAGES_MAX (2u << 20)

struct counting {
	size_t messages;
	struct err *err;
};

static bool
read_varint(struct str *s, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (s->n == 0)
			return false;
		*out |= (uint64_t)((unsigned char)*s->p & 0x7f) << shift;
		s->n--;
		if (!(*s->p++ & 0x80))
			return true;
	}
	return false;
}

static bool
skip(struct str *s, uint64_t n)
{
	if (n > s->n)
		return false;
	s->p += n;
	s->n -= n;
	return true;
}

static int count(
    struct counting *c, const ProtobufCMessageDescriptor *d, struct str s, unsigned depth);

static int
count_field(struct counting *c, const ProtobufCMessageDescriptor *d, struct str *s, uint64_t tag,
    unsigned depth)
{
	const ProtobufCFieldDescriptor *f =
	    tag >> 3 <= UINT32_MAX
		? protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3))
		: NULL;
	struct str inner;
	uint64_t n;
	bool ok = false;

	switch (tag & 7) {
	case 0:
		ok = read_varint(s, &n);
		break;
	case 1:
		ok = skip(s, 8);
		break;
	case 2:
		ok = read_varint(s, &n);
		inner = *s;
		ok = ok && skip(s, n);
		inner.n = (size_t)n;
		if (ok && f && f->type == PROTOBUF_C_TYPE_MESSAGE)
			return count(c, f->descriptor, inner, depth + 1);
		break;
	case 5:
		ok = skip(s, 4);
		break;
	}
	return ok ? 0 : err_set(c->err, "'%s' is not a packed message", d->name);
}

static int
count(struct counting *c, const ProtobufCMessageDescriptor *d, struct str s, unsigned depth)
{
	uint64_t tag;

	task_breathe();
	if (depth > MESSAGE_DEPTH)
		return err_set(c->err, "messages are nested deeper than %d levels", MESSAGE_DEPTH);
	if (++c->messages > MESSAGES_MAX)
		return err_set(c->err, "more than %u messages in one", MESSAGES_MAX);
	while (s.n > 0) {
		if (!read_varint(&s, &tag) || tag >> 3 == 0)
			return err_set(c->err, "'%s' is not a packed message", d->name);
		if (count_field(c, d, &s, tag, depth) < 0)
			return -1;
	}
	return 0;
}

static void
fill_value(struct arena *a, ProtobufCMessage *entry)
{
	const ProtobufCFieldDescriptor *f = &entry->descriptor->fields[1];

	if (f->type == PROTOBUF_C_TYPE_MESSAGE && !message_has(entry, f))
		*(ProtobufCMessage **)message_field(entry, f) = message_new(a, f->descriptor);
}

/*
 * A map entry on the wire may lack its value, which then is the empty
 * message; in a text it never does, so nobody expects a NULL there.
 */
static void
fill_map_values(struct arena *a, ProtobufCMessage *m)
{
	for (unsigned k = 0; k < m->descriptor->n_fields; k++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[k];
		bool list = f->label == PROTOBUF_C_LABEL_REPEATED;
		ProtobufCMessage **items = message_field(m, f);

		if (f->type != PROTOBUF_C_TYPE_MESSAGE || !message_has(m, f))
			continue;
		if (list)
			items = *(ProtobufCMessage ***)items;
		for (size_t i = 0; i < (list ? message_count(m, f) : 1); i++) {
			if (message_field_is_map(f))
				fill_value(a, items[i]);
			fill_map_values(a, items[i]);
		}
	}
}

/* Once for each message and string. */
static void *
take_from_arena(void *arena, size_t n)
{
	task_breathe();
	return arena_alloc(arena, n);
}

static void
leave_to_arena(void *arena, void *p)
{
}

ProtobufCMessage *
message_unpack(
    struct arena *a, const ProtobufCMessageDescriptor *type, struct str bytes, struct err *err)
{
	struct counting c = {.err = err};
	ProtobufCAllocator allocator = {
	    .alloc = take_from_arena,
	    .free = leave_to_arena,
	    .allocator_data = a,
	};
	ProtobufCMessage *m;

	if (bytes.n > MESSAGE_BYTES) {
		err_set(err, "larger than %u MiB", MESSAGE_BYTES >> 20);
		return NULL;
	}
	if (count(&c, type, bytes, 0) < 0)
		return NULL;
	m = protobuf_c_message_unpack(type, &allocator, bytes.n, (const uint8_t *)bytes.p);
	if (!m)
		err_set(err, "'%s' cannot be unpacked", type->name);
	else
		fill_map_values(a, m);
	return m;
}

void
message_pack(const ProtobufCMessage *m, struct strb *out)
{
	size_t n = protobuf_c_message_get_packed_size(m);

	strb_reserve(out, n);
	if (n)
		out->n += protobuf_c_message_pack(m, (uint8_t *)out->p + out->n);
	if (out->p)
		out->p[out->n] = '\0';
}
