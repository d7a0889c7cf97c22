#include "admin/web/mask.h"

#include "conf/message.h"

void
mask_parse(struct mask *m, struct str text)
{
	struct str path;

	*m = (struct mask){0};
	while (str_cut(&text, ',', &path)) {
		path = str_trim(path);
		if (path.n)
			*vec_push(&m->paths) = path;
	}
}

void
mask_fini(struct mask *m)
{
	vec_fini(&m->paths);
}

/* Is the path's first part the field?  *rest: what follows, p = NULL when nothing does. */
static bool
begins(struct str path, const char *field, struct str *rest)
{
	struct str first;

	str_cut(&path, '.', &first);
	*rest = path;
	return str_eqz(first, field);
}

bool
mask_allows(const struct mask *m, const char *field)
{
	struct str rest;

	for (size_t i = 0; i < m->paths.len; i++)
		if (begins(m->paths.at[i], field, &rest))
			return true;
	return m->paths.len == 0;
}

void
mask_below(struct mask *out, const struct mask *m, const char *field)
{
	struct str rest;

	*out = (struct mask){0};
	for (size_t i = 0; i < m->paths.len; i++) {
		if (!begins(m->paths.at[i], field, &rest))
			continue;
		if (rest.p == NULL) { /* all of the field */
			vec_fini(&out->paths);
			return;
		}
		*vec_push(&out->paths) = rest;
	}
}

static void
clear(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	void *at = message_field(m, f);
	void *quantifier = (char *)m + f->quantifier_offset;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		*(size_t *)quantifier = 0;
	else if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		*(uint32_t *)quantifier = message_has(m, f) ? 0 : *(uint32_t *)quantifier;
	else if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		*(void **)at = NULL;
	else if (f->type == PROTOBUF_C_TYPE_STRING)
		*(const char **)at = protobuf_c_empty_string;
	else if (f->type == PROTOBUF_C_TYPE_BYTES)
		*(ProtobufCBinaryData *)at = (ProtobufCBinaryData){0};
	else if (f->type == PROTOBUF_C_TYPE_BOOL)
		*(protobuf_c_boolean *)at = 0;
	else if (f->type == PROTOBUF_C_TYPE_DOUBLE || f->type == PROTOBUF_C_TYPE_INT64 ||
	    f->type == PROTOBUF_C_TYPE_UINT64)
		*(uint64_t *)at = 0;
	else
		*(uint32_t *)at = 0;
}

/* Takes away from m, which is a copy of ours. */
static void
trim(const struct mask *mask, ProtobufCMessage *m)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		struct mask below;

		if (!mask_allows(mask, f->name)) {
			clear(m, f);
			continue;
		}
		if (f->type != PROTOBUF_C_TYPE_MESSAGE || f->label == PROTOBUF_C_LABEL_REPEATED ||
		    !message_has(m, f))
			continue; /* a mask does not go into lists */
		mask_below(&below, mask, f->name);
		if (below.paths.len)
			trim(&below, *(ProtobufCMessage **)message_field(m, f));
		mask_fini(&below);
	}
}

const ProtobufCMessage *
mask_apply(const struct mask *m, const ProtobufCMessage *message, struct arena *a)
{
	struct strb packed = {0};
	ProtobufCMessage *copy;

	if (m->paths.len == 0)
		return message;
	message_pack(message, &packed);
	copy = message_unpack(a, message->descriptor, strb_str(&packed), NULL);
	strb_fini(&packed);
	if (copy)
		trim(m, copy);
	return copy;
}
