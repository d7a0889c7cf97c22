#include "admin/health/grpc_message.h"

#define PREFIX 5 /* compressed flag and length of a message */
#define FIELD_1_TEXT 0x0a
#define FIELD_1_NUMBER 0x08
#define SERVING 1

static size_t
put_varint(char *out, size_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (char)(v | 0x80);
	out[n++] = (char)v;
	return n;
}

struct str
grpc_check_request(struct str service, struct arena *a)
{
	char *out = arena_zalloc(a, PREFIX + 1 + 10 + service.n);
	size_t n = PREFIX;

	if (service.n) {
		out[n++] = FIELD_1_TEXT;
		n += put_varint(out + n, service.n);
		memcpy(out + n, service.p, service.n);
		n += service.n;
	}
	for (int i = 0; i < 4; i++)
		out[4 - i] = (char)((n - PREFIX) >> (8 * i));
	return str_make(out, n);
}

static bool
read_varint(struct str *s, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; shift < 64 && s->n; shift += 7) {
		unsigned char c = (unsigned char)*s->p;

		s->p++;
		s->n--;
		*out |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return true;
	}
	return false;
}

/* Drops the value of a field that is not known. */
static bool
skip_value(struct str *s, unsigned wire)
{
	uint64_t n = wire == 1 ? 8 : wire == 5 ? 4 : 0;

	if (wire == 0)
		return read_varint(s, &n);
	if (wire == 2 && !read_varint(s, &n))
		return false;
	if ((wire != 1 && wire != 2 && wire != 5) || n > s->n)
		return false;
	s->p += n;
	s->n -= n;
	return true;
}

/* The last one counts, as in protobuf; a message without it says UNKNOWN. */
static bool
says_serving(struct str s)
{
	uint64_t status = 0, tag;

	while (s.n) {
		if (!read_varint(&s, &tag))
			return false;
		if (tag == FIELD_1_NUMBER ? !read_varint(&s, &status) : !skip_value(&s, tag & 7))
			return false;
	}
	return status == SERVING;
}

bool
grpc_check_is_serving(const struct buf *body)
{
	unsigned char text[GRPC_ANSWER_ROOM];
	size_t n = buf_peek(body, text, sizeof(text));
	size_t len;

	if (n < PREFIX || n == sizeof(text) || text[0] != 0)
		return false;
	len = (size_t)text[1] << 24 | (size_t)text[2] << 16 | (size_t)text[3] << 8 | text[4];
	return len == n - PREFIX && says_serving(str_make((char *)text + PREFIX, len));
}
