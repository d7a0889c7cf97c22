#include "conf/scalar.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "conf/near.h"
#include "conf/node.h"
#include "lib/base/assert.h"

#define SHOWN 60

void
scalar_error_fini(struct scalar_error *e)
{
	strb_fini(&e->text);
}

/* The value as a message may show it: short and printable. */
static int
fail(struct scalar_error *e, const struct node *n, const char *what)
{
	strb_addz(&e->text, "'");
	for (size_t i = 0; i < n->text.n && i < SHOWN; i++)
		strb_addc(&e->text, (unsigned char)n->text.p[i] < 0x20 ? '?' : n->text.p[i]);
	strb_printf(&e->text, "%s' %s", n->text.n > SHOWN ? "…" : "", what);
	return -1;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A number as JSON writes it: no '+', no leading zeros, no hexadecimal, no ".5". */
static bool
number_form(struct str s, bool *integral)
{
	size_t i = 0;

	*integral = true;
	if (i < s.n && s.p[i] == '-')
		i++;
	if (i >= s.n || !is_digit(s.p[i]))
		return false;
	if (s.p[i] == '0' && i + 1 < s.n && is_digit(s.p[i + 1]))
		return false;
	while (i < s.n && is_digit(s.p[i]))
		i++;
	if (i < s.n && s.p[i] == '.') {
		*integral = false;
		if (++i >= s.n || !is_digit(s.p[i]))
			return false;
		while (i < s.n && is_digit(s.p[i]))
			i++;
	}
	if (i < s.n && (s.p[i] | 0x20) == 'e') {
		*integral = false;
		i++;
		if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
			i++;
		if (i >= s.n || !is_digit(s.p[i]))
			return false;
		while (i < s.n && is_digit(s.p[i]))
			i++;
	}
	return i == s.n;
}

bool
scalar_is_number(const struct node *n, double *out)
{
	bool integral;

	if (n->quoted || !number_form(n->text, &integral))
		return false;
	*out = strtod(n->text.p, NULL);
	return isfinite(*out);
}

/* Sign and magnitude of a whole number, also written as 1e3 or 5.0. */
static int
read_integer(const struct node *n, bool *negative, uint64_t *magnitude, struct scalar_error *e)
{
	struct str s = n->text;
	bool integral;
	double d;

	if (!number_form(s, &integral))
		return fail(e, n,
		    s.n > 1 && s.p[0] == '0' && is_digit(s.p[1])
			? "is not a number: leading zeros could mean octal"
			: "is not a number");
	*negative = s.p[0] == '-';
	if (integral) {
		if (!str_u64(str_make(s.p + *negative, s.n - *negative), magnitude))
			return fail(e, n, "is out of range");
		return 0;
	}
	d = fabs(strtod(s.p, NULL));
	if (d != floor(d))
		return fail(e, n, "is not a whole number");
	if (d > 9007199254740992.0)
		return fail(e, n, "is out of range");
	*magnitude = (uint64_t)d;
	return 0;
}

static int
read_unsigned(const struct node *n, uint64_t max, uint64_t *out, struct scalar_error *e)
{
	bool negative = false;

	if (read_integer(n, &negative, out, e) < 0)
		return -1;
	if (negative && *out > 0)
		return fail(e, n, "must not be negative");
	if (*out > max) {
		fail(e, n, "is out of range: ");
		strb_printf(&e->text, "the greatest is %llu", (unsigned long long)max);
		return -1;
	}
	return 0;
}

static int
read_signed(const struct node *n, int64_t max, int64_t *out, struct scalar_error *e)
{
	bool negative = false;
	uint64_t u = 0;

	if (read_integer(n, &negative, &u, e) < 0)
		return -1;
	if (u > (uint64_t)max + negative)
		return fail(e, n, "is out of range");
	*out = negative ? (int64_t)(0 - u) : (int64_t)u;
	return 0;
}

static int
read_double(const struct node *n, double *out, struct scalar_error *e)
{
	bool integral;

	if (str_eqz(n->text, "Infinity") || str_eqz(n->text, "-Infinity") ||
	    str_eqz(n->text, "NaN")) {
		*out = n->text.p[0] == 'N' ? NAN : n->text.p[0] == '-' ? -INFINITY : INFINITY;
		return 0;
	}
	if (!number_form(n->text, &integral))
		return fail(e, n, "is not a number");
	*out = strtod(n->text.p, NULL);
	return isfinite(*out) ? 0 : fail(e, n, "is out of range");
}

static int
read_bool(const struct node *n, protobuf_c_boolean *out, struct scalar_error *e)
{
	static const char *const yes[] = {"yes", "on", "y", "1"}, *const no[] = {
								      "no", "off", "n", "0"};

	if (str_ieqz(n->text, "true") || str_ieqz(n->text, "false")) {
		*out = str_ieqz(n->text, "true");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (str_ieqz(n->text, yes[i]))
			e->near = "true";
		if (str_ieqz(n->text, no[i]))
			e->near = "false";
	}
	if (!e->near) {
		struct near near;

		near_init(&near, n->text);
		near_offer(&near, "true");
		near_offer(&near, "false");
		e->near = near.best;
	}
	return fail(e, n, "is not true or false");
}

static int
read_enum(const ProtobufCEnumDescriptor *d, const struct node *n, int *out, struct scalar_error *e)
{
	struct near near;
	int64_t number;

	near_init(&near, n->text);
	for (unsigned i = 0; i < d->n_values; i++) {
		if (str_ieqz(n->text, d->values[i].name)) {
			*out = d->values[i].value;
			return 0;
		}
		near_offer(&near, d->values[i].name);
	}
	if (str_i64(n->text, &number) && number >= INT32_MIN && number <= INT32_MAX &&
	    protobuf_c_enum_descriptor_get_value(d, (int)number)) {
		*out = (int)number;
		return 0;
	}
	e->near = near.best;
	fail(e, n, "is none of ");
	for (unsigned i = 0; i < d->n_values; i++)
		strb_printf(&e->text, "%s%s", i ? ", " : "", d->values[i].name);
	return -1;
}

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (is_digit(c))
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Both alphabets; full groups, padded; no bits left over. */
static int
read_bytes(struct arena *a, const struct node *n, ProtobufCBinaryData *out, struct scalar_error *e)
{
	struct str s = n->text;
	uint32_t bits = 0;
	unsigned have = 0;

	if (s.n % 4)
		return fail(e, n, "is not base64: the length is not a multiple of 4");
	for (int i = 0; i < 2 && s.n && s.p[s.n - 1] == '='; i++)
		s.n--;
	out->data = arena_alloc(a, s.n * 3 / 4 + 1);
	out->len = 0;
	for (size_t i = 0; i < s.n; i++) {
		int d = base64_digit(s.p[i]);

		if (d < 0)
			return fail(e, n, "is not base64");
		bits = bits << 6 | (uint32_t)d;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out->data[out->len++] = (uint8_t)(bits >> have);
		}
	}
	if (have == 6 || (bits & ((1u << have) - 1)))
		return fail(e, n, "is not base64: bits are left over at the end");
	return 0;
}

static int
read_string(struct arena *a, const struct node *n, char **out, struct scalar_error *e)
{
	if (memchr(n->text.p, '\0', n->text.n))
		return fail(e, n, "holds a NUL");
	*out = arena_dup(a, n->text.p, n->text.n);
	return 0;
}

int
scalar_read(struct arena *a, const ProtobufCFieldDescriptor *f, const struct node *n, void *out,
    struct scalar_error *e)
{
	uint64_t u = 0;
	int64_t i = 0;
	double d = 0;

	if (n->kind != NODE_SCALAR) {
		strb_printf(&e->text, "takes one value, not %s", node_kind_name(n));
		return -1;
	}
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return read_string(a, n, out, e);
	case PROTOBUF_C_TYPE_BYTES:
		return read_bytes(a, n, out, e);
	case PROTOBUF_C_TYPE_BOOL:
		return read_bool(n, out, e);
	case PROTOBUF_C_TYPE_ENUM:
		return read_enum(f->descriptor, n, out, e);
	case PROTOBUF_C_TYPE_DOUBLE:
		return read_double(n, out, e);
	case PROTOBUF_C_TYPE_FLOAT:
		if (read_double(n, &d, e) < 0)
			return -1;
		*(float *)out = (float)d;
		return 0;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		if (read_unsigned(n, UINT32_MAX, &u, e) < 0)
			return -1;
		*(uint32_t *)out = (uint32_t)u;
		return 0;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return read_unsigned(n, UINT64_MAX, out, e);
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		if (read_signed(n, INT32_MAX, &i, e) < 0)
			return -1;
		*(int32_t *)out = (int32_t)i;
		return 0;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return read_signed(n, INT64_MAX, out, e);
	default:
		break;
	}
	UNREACHABLE();
}

#define DURATION_MAX_S 315576000000ll /* 10,000 years, protobuf's bound */

int
scalar_duration(const struct node *n, int64_t *seconds, int32_t *nanos, struct scalar_error *e)
{
	static const char form[] = "is not a duration: write seconds with an 's', as in \"0.25s\"";
	struct str s = n->text;
	bool negative = s.n && s.p[0] == '-';
	size_t i = negative, digits = 0;
	uint64_t whole = 0;
	int32_t fraction = 0;

	for (; i < s.n && is_digit(s.p[i]); i++, digits++)
		if ((whole = whole * 10 + (uint64_t)(s.p[i] - '0')) > DURATION_MAX_S)
			return fail(e, n, "is out of range");
	if (digits == 0)
		return fail(e, n, form);
	if (i < s.n && s.p[i] == '.') {
		for (digits = 0, i++; i < s.n && is_digit(s.p[i]) && digits < 9; i++, digits++)
			fraction = fraction * 10 + (s.p[i] - '0');
		if (digits == 0)
			return fail(e, n, form);
		for (; digits < 9; digits++)
			fraction *= 10;
	}
	if (i + 1 != s.n || s.p[i] != 's')
		return fail(e, n, form);
	*seconds = negative ? -(int64_t)whole : (int64_t)whole;
	*nanos = negative ? -fraction : fraction;
	return 0;
}
