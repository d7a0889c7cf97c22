#include "conf/resource.h"

#include <endian.h>
#include <string.h>

#include "conf/message.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "envoy/config/route/v3/route.pb-c.h"
#include "lib/base/assert.h"
#include "lib/base/err.h"
#include "lib/base/hash.h"

/* The head of a record, in this order, little endian. */
struct head {
	uint8_t kind, removed;
	uint16_t zero;
	uint32_t name_length, packed_length, zero2;
	uint64_t version;
};

static const struct {
	const char *name;
	const ProtobufCMessageDescriptor *descriptor;
} kinds[] = {
#define RESOURCE(id, label, descriptor) {label, &descriptor},
#define RESOURCE_RAW(id, label) {label, NULL},
#include "conf/resources.def"
#undef RESOURCE
#undef RESOURCE_RAW
};

const char *
resource_kind_name(enum resource_kind k)
{
	return kinds[k].name;
}

const ProtobufCMessageDescriptor *
resource_descriptor(enum resource_kind k)
{
	return kinds[k].descriptor;
}

static void
write_record(
    struct strb *out, enum resource_kind k, bool removed, struct str name, struct str packed)
{
	struct head h = {
	    .kind = (uint8_t)k,
	    .removed = removed,
	    .name_length = htole32((uint32_t)name.n),
	    .packed_length = htole32((uint32_t)packed.n),
	    .version = htole64(removed ? 0 : hash_xx64(packed.p, packed.n, 0)),
	};

	ASSERT(name.n <= UINT32_MAX && packed.n <= UINT32_MAX);
	strb_add(out, &h, sizeof(h));
	strb_adds(out, name);
	strb_adds(out, packed);
}

void
resource_write(struct strb *out, enum resource_kind k, struct str name, const ProtobufCMessage *m)
{
	struct strb packed = {0};

	message_pack(m, &packed);
	write_record(out, k, false, name, strb_str(&packed));
	strb_fini(&packed);
}

void
resource_write_removed(struct strb *out, enum resource_kind k, struct str name)
{
	write_record(out, k, true, name, (struct str){"", 0});
}

int
resource_read(struct str bytes, struct resource *out, struct err *err)
{
	struct head h;

	if (bytes.n < sizeof(h))
		return err_set(err, "record of %zu bytes is too short", bytes.n);
	memcpy(&h, bytes.p, sizeof(h));
	out->kind = h.kind;
	out->removed = h.removed;
	out->version = le64toh(h.version);
	out->name = str_make(bytes.p + sizeof(h), le32toh(h.name_length));
	out->packed = str_make(out->name.p + out->name.n, le32toh(h.packed_length));
	if (h.kind >= RESOURCE_KINDS || kinds[h.kind].descriptor == NULL)
		return err_set(err, "record of unknown kind %u", h.kind);
	if (bytes.n - sizeof(h) < out->name.n || bytes.n - sizeof(h) - out->name.n != out->packed.n)
		return err_set(err, "record of %zu bytes does not fit its lengths", bytes.n);
	return 0;
}

ProtobufCMessage *
resource_message(struct arena *a, const struct resource *r, struct err *err)
{
	ProtobufCMessage *m = message_unpack(a, kinds[r->kind].descriptor, r->packed, err);

	if (!m)
		err_in(err, "%s '" STR_FMT "'", kinds[r->kind].name, STR_ARG(r->name));
	return m;
}
