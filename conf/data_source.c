#include "conf/data_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/message.h"
#include "google/protobuf/any.pb-c.h"
#include "lib/base/err.h"

static int
read_all(int fd, const char *path, size_t most, struct strb *out, struct err *err)
{
	size_t start = out->n;

	for (;;) {
		ssize_t n;

		strb_reserve(out, 16384);
		n = read(fd, out->p + out->n, 16384);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "'%s' cannot be read", path);
		out->n += (size_t)n;
		out->p[out->n] = '\0';
		if (out->n - start > most)
			return err_set(err, "'%s' is larger than %zu bytes", path, most);
		if (n == 0)
			return 0;
	}
}

static int
read_file(const char *path, size_t most, struct strb *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), result;
	struct stat st;

	if (fd < 0)
		return err_sys(err, "'%s' cannot be opened", path);
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
		result = err_set(err, "'%s' is not a file", path);
	else
		result = read_all(fd, path, most, out, err);
	close(fd);
	return result;
}

int
data_source_read(
    const Envoy__Config__Core__V3__DataSource *d, size_t most, struct strb *out, struct err *err)
{
	struct str bytes = {"", 0};
	const char *value;

	switch (d->specifier_case) {
	case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME:
		return read_file(d->filename, most, out, err);
	case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES:
		bytes = str_make((char *)d->inline_bytes.data, d->inline_bytes.len);
		break;
	case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING:
		bytes = str_of(d->inline_string);
		break;
	case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_ENVIRONMENT_VARIABLE:
		value = getenv(d->environment_variable);
		if (!value)
			return err_set(
			    err, "'%s' is not set in the environment", d->environment_variable);
		bytes = str_of(value);
		break;
	default:
		return err_set(err, "is not set");
	}
	if (bytes.n > most)
		return err_set(err, "is larger than %zu bytes", most);
	strb_adds(out, bytes);
	return 0;
}

bool
data_source_is_there(const Envoy__Config__Core__V3__DataSource *d)
{
	switch (d->specifier_case) {
	case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME:
		return access(d->filename, R_OK) == 0;
	case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_ENVIRONMENT_VARIABLE:
		return getenv(d->environment_variable) != NULL;
	case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES:
	case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING:
		return true;
	default:
		return false;
	}
}

struct inlining {
	struct arena *arena;
	size_t most;
	struct err *err;
	bool failed;
};

static const ProtobufCMessage *inline_below(struct inlining *in, const ProtobufCMessage *m);

static const ProtobufCMessage *
inline_source(struct inlining *in, const ProtobufCMessage *m)
{
	const Envoy__Config__Core__V3__DataSource *d = (const void *)m;
	Envoy__Config__Core__V3__DataSource *copy;
	struct strb bytes = {0};

	if (d->specifier_case != ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME &&
	    d->specifier_case !=
		ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_ENVIRONMENT_VARIABLE)
		return m;
	copy = (void *)message_new(in->arena, m->descriptor);
	if (data_source_read(d, in->most, &bytes, in->err) < 0)
		in->failed = true;
	copy->specifier_case = ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES;
	copy->inline_bytes.data = (uint8_t *)arena_dup(in->arena, strb_z(&bytes), bytes.n);
	copy->inline_bytes.len = bytes.n;
	strb_fini(&bytes);
	return &copy->base;
}

static const ProtobufCMessage *
inline_any(struct inlining *in, const ProtobufCMessage *m)
{
	const ProtobufCMessage *inner = any_open(in->arena, m, NULL, in->err), *turned;
	Google__Protobuf__Any *copy;
	struct strb packed = {0};

	turned = inner ? inline_below(in, inner) : NULL;
	if (turned == inner)
		return m;
	copy = (void *)message_new(in->arena, m->descriptor);
	message_pack(turned, &packed);
	copy->type_url = ((const Google__Protobuf__Any *)m)->type_url;
	copy->value.data = (uint8_t *)arena_dup(in->arena, strb_z(&packed), packed.n);
	copy->value.len = packed.n;
	strb_fini(&packed);
	return &copy->base;
}

/* Puts `turned` where `m`'s field has `old`, in a copy of m that is made once. */
static void
replace(struct inlining *in, const ProtobufCMessage *m, ProtobufCMessage **copy,
    const ProtobufCFieldDescriptor *f, size_t i, const ProtobufCMessage *turned)
{
	size_t size = message_value_size(f);
	char *at;

	if (!*copy) {
		*copy = arena_alloc(in->arena, m->descriptor->sizeof_message);
		memcpy(*copy, m, m->descriptor->sizeof_message);
	}
	at = message_field(*copy, f);
	if (f->label != PROTOBUF_C_LABEL_REPEATED) {
		*(const ProtobufCMessage **)at = turned;
		return;
	}
	if (*(void **)at == *(void **)message_field(m, f)) {
		void *items = arena_alloc(in->arena, message_count(m, f) * size);

		memcpy(items, *(void **)at, message_count(m, f) * size);
		*(void **)at = items;
	}
	(*(const ProtobufCMessage ***)at)[i] = turned;
}

static const ProtobufCMessage *
inline_below(struct inlining *in, const ProtobufCMessage *m)
{
	ProtobufCMessage *copy = NULL;

	if (m->descriptor == &envoy__config__core__v3__data_source__descriptor)
		return inline_source(in, m);
	if (m->descriptor == &google__protobuf__any__descriptor)
		return inline_any(in, m);
	for (unsigned k = 0; k < m->descriptor->n_fields; k++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[k];
		bool list = f->label == PROTOBUF_C_LABEL_REPEATED;
		const ProtobufCMessage *const *items = message_field(m, f);

		if (f->type != PROTOBUF_C_TYPE_MESSAGE || !message_has(m, f))
			continue;
		if (list)
			items = *(const ProtobufCMessage *const *const *)items;
		for (size_t i = 0; i < (list ? message_count(m, f) : 1); i++) {
			const ProtobufCMessage *turned = inline_below(in, items[i]);

			if (turned != items[i])
				replace(in, m, &copy, f, i, turned);
		}
	}
	return copy ? copy : m;
}

const ProtobufCMessage *
data_sources_inline(struct arena *a, const ProtobufCMessage *m, size_t most, struct err *err)
{
	struct inlining in = {.arena = a, .most = most, .err = err};
	const ProtobufCMessage *turned = inline_below(&in, m);

	return in.failed ? NULL : turned;
}
