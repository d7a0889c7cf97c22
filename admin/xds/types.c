#include "admin/xds/types.h"

#include "conf/message.h"
#include "conf/types.h"
#include "envoy/config/endpoint/v3/endpoint.pb-c.h"
#include "lib/base/assert.h"

const struct xds_type xds_types[XDS_TYPES] = {
#define XDS(id, label, message, method, name, state)                                               \
	[XDS_##id] = {label, &message##__descriptor, method, name, XDS_##state},
#define LATER(id, label, message)
#include "admin/xds/types.def"
#undef XDS
#undef LATER
};

static const struct {
	const char *label, *message;
} later[] = {
#define XDS(id, label, message, method, name, state)
#define LATER(id, label, message) {label, message},
#include "admin/xds/types.def"
#undef XDS
#undef LATER
};

static struct str
full_name(struct str url)
{
	for (size_t i = url.n; i > 0; i--)
		if (url.p[i - 1] == '/')
			return str_make(url.p + i, url.n - i);
	return url;
}

int
xds_type_by_url(struct str url)
{
	for (int i = 0; i < XDS_TYPES; i++)
		if (str_eqz(full_name(url), xds_types[i].message->name))
			return i;
	return -1;
}

const char *
xds_type_later(struct str url)
{
	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (str_eqz(full_name(url), later[i].message))
			return later[i].label;
	return NULL;
}

void
xds_type_url(struct strb *out, enum xds_type_id id)
{
	strb_addz(out, TYPE_PREFIX);
	strb_addz(out, xds_types[id].message->name);
}

struct str
xds_resource_name(enum xds_type_id id, const ProtobufCMessage *m)
{
	const ProtobufCFieldDescriptor *f =
	    message_field_named(m->descriptor, str_of(xds_types[id].name));

	ASSERT(f);
	return str_of(*(char *const *)message_field(m, f));
}
