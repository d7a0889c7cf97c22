/* Character tables and what is checked with them.  Pure; any process. */
#include "lib/http/validate.h"

#include "lib/base/assert.h"

/* RFC 9110 5.6.2: a token is letters, digits and !#$%&'*+-.^_`|~ */
const unsigned char token_lower[256] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 33, 0, 35, 36, 37, 38, 39, 0, 0, 42, 43, 0, 45, 46, 0,
	48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 0, 0, 0, 0, 0, 0,
	0, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
	112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 0, 0, 0, 94, 95,
	96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
	112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 0, 124, 0, 126, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};

const bool authority_char[256] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, 0,
	0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1,
	0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};

bool
valid_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (token_lower[(unsigned char)s.p[i]] == 0)
			return false;
	}
	return s.n > 0;
}

bool
valid_name(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (c == 0 || token_lower[c] != c)
			return false;
	}
	return name.n > 0 && name.n <= NAME_MAX_BYTES;
}

/* Of eight bytes: 0 when none is a control byte, TAB among them. */
static inline uint64_t
controls(uint64_t x)
{
	const uint64_t ones = ~0ull / 255, tops = ones << 7;
	uint64_t del = x ^ ones * 0x7f;

	return (((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & tops;
}

static inline uint64_t
load8(const char *p)
{
	uint64_t x;

	memcpy(&x, p, 8);
	return x;
}

static inline uint32_t
load4(const char *p)
{
	uint32_t x;

	memcpy(&x, p, 4);
	return x;
}

/* Ends may be looked at twice: there is no rest to go through by bytes. */
static bool
free_of_controls(const char *p, size_t n)
{
	if (n < 4) {
		for (size_t i = 0; i < n; i++)
			if (is_control((unsigned char)p[i]))
				return false;
		return true;
	}
	if (n < 8)
		return !controls((uint64_t)load4(p) << 32 | load4(p + n - 4));
	for (size_t i = 0; i + 8 < n; i += 8)
		if (controls(load8(p + i)))
			return false;
	return !controls(load8(p + n - 8));
}

static inline uint64_t
copy8(char *to, const char *from)
{
	uint64_t x = load8(from);

	memcpy(to, &x, 8);
	return controls(x);
}

/* One to three bytes: the first, the middle and the last, who may be the same.  True: a control byte. */
static inline bool
copy_few(char *to, const char *p, size_t n)
{
	unsigned char first = (unsigned char)p[0], middle = (unsigned char)p[n / 2],
		      last = (unsigned char)p[n - 1];

	to[0] = (char)first;
	to[n / 2] = (char)middle;
	to[n - 1] = (char)last;
	return is_control(first) || is_control(middle) || is_control(last);
}

/* As above: the last bytes are copied together, also those that were copied before. */
bool
value_copy(char *to, struct str value)
{
	const char *p = value.p;
	size_t n = value.n;
	uint64_t found = 0;

	if (n < 4)
		return n == 0 || !copy_few(to, p, n);
	if (n < 8) {
		uint32_t first = load4(p), last = load4(p + n - 4);

		memcpy(to, &first, 4);
		memcpy(to + n - 4, &last, 4);
		return !controls((uint64_t)first << 32 | last);
	}
	for (size_t i = 0; i + 8 < n; i += 8)
		found |= copy8(to + i, p + i);
	return (found | copy8(to + n - 8, p + n - 8)) == 0;
}

void
value_clean(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_control((unsigned char)p[i]) && p[i] != '\t')
			p[i] = ' ';
	}
}

bool
valid_value(struct str value)
{
	return free_of_controls(value.p, value.n) || value_span(value.p, value.n) == value.n;
}

bool
valid_target(struct str s)
{
	return s.n > 0 && target_end(s.p, 0, s.n) == s.n;
}

static bool
valid_port(struct str s)
{
	unsigned port = 0;

	if (s.n > 5)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - '0';

		if (digit > 9)
			return false;
		port = port * 10 + digit;
	}
	return port <= 65535;
}

static bool
valid_bracketed(struct str s)
{
	size_t i = 1;

	while (i < s.n && (authority_char[(unsigned char)s.p[i]] || s.p[i] == ':'))
		i++;
	if (i == 1 || i == s.n || s.p[i] != ']')
		return false;
	i++;
	return i == s.n || (s.p[i] == ':' && valid_port(str_make(s.p + i + 1, s.n - i - 1)));
}

bool
valid_authority(struct str s)
{
	size_t i = 0;

	while (i < s.n && authority_char[(unsigned char)s.p[i]])
		i++;
	if (i == s.n)
		return true;
	if (i == 0)
		return s.p[0] == '[' && valid_bracketed(s);
	return s.p[i] == ':' && valid_port(str_make(s.p + i + 1, s.n - i - 1));
}

bool
valid_method(struct str s, bool allow_custom)
{
	static const struct str methods[] = {
#define METHOD(name) {name, sizeof(name) - 1},
#include "lib/http/methods.def"
#undef METHOD
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (str_eq(s, methods[i]))
			return true;
	}
	return allow_custom && valid_token(s);
}

bool
valid_content_length(struct str s, uint64_t *out)
{
	return str_u64(s, out) && *out <= INT64_MAX;
}

bool
trailer_forbidden(enum header_id id)
{
	switch (id) {
	case HDR_METHOD:
	case HDR_PATH:
	case HDR_AUTHORITY:
	case HDR_SCHEME:
	case HDR_STATUS:
	case HDR_PROTOCOL:
	case HDR_AUTHORIZATION:
	case HDR_CONNECTION:
	case HDR_CONTENT_ENCODING:
	case HDR_CONTENT_LENGTH:
	case HDR_CONTENT_TYPE:
	case HDR_COOKIE:
	case HDR_HOST:
	case HDR_KEEP_ALIVE:
	case HDR_PROXY_AUTHENTICATE:
	case HDR_PROXY_AUTHORIZATION:
	case HDR_PROXY_CONNECTION:
	case HDR_SET_COOKIE:
	case HDR_TE:
	case HDR_TRAILER:
	case HDR_TRANSFER_ENCODING:
	case HDR_UPGRADE:
	case HDR_WWW_AUTHENTICATE:
		return true;
	default:
		return false;
	}
}

static bool
is_connection_specific(const struct header *x)
{
	switch ((enum header_id)x->id) {
	case HDR_CONNECTION:
	case HDR_KEEP_ALIVE:
	case HDR_PROXY_CONNECTION:
	case HDR_TRANSFER_ENCODING:
	case HDR_UPGRADE:
		return true;
	case HDR_TE:
		return !str_ieqz(header_value(x), "trailers");
	default:
		return false;
	}
}

/* Regular fields: names, values, nothing about the connection, one length. */
static const char *
check_fields(const struct headers *h)
{
	uint64_t length;
	unsigned lengths = 0;

	for (uint32_t i = 0; i < h->len; i++) {
		const struct header *x = &h->at[i];
		bool pseudo = x->name_len > 0 && x->name[0] == ':';

		if (!pseudo && !valid_name(header_name(x)))
			return "header_name";
		if (!valid_value(header_value(x)))
			return "control_char";
		if (is_connection_specific(x))
			return "connection_header";
		if (x->id == HDR_CONTENT_LENGTH &&
		    (++lengths > 1 || !valid_content_length(header_value(x), &length)))
			return "content_length";
	}
	return NULL;
}

static const char *
check_path(struct str method, struct str path)
{
	if (str_eqz(path, "*"))
		return str_eqz(method, "OPTIONS") ? NULL : "asterisk";
	return path.n && path.p[0] == '/' && valid_target(path) ? NULL : "target";
}

static const char *
check_authority(const struct headers *h)
{
	struct header *authority = headers_find_id(h, HDR_AUTHORITY);
	unsigned hosts = 0;

	if (authority && (authority->value_len == 0 || !valid_authority(header_value(authority))))
		return "authority";
	for (uint32_t i = 0; i < h->len; i++) {
		struct str host = header_value(&h->at[i]);

		if (h->at[i].id != HDR_HOST)
			continue;
		if (++hosts > 1 || !valid_authority(host) ||
		    (authority && !str_ieq(host, header_value(authority))))
			return "host";
	}
	return authority || hosts ? NULL : "host";
}

const char *
validate_request_headers(const struct headers *h, bool allow_custom_methods)
{
	struct str method = headers_get(h, HDR_METHOD), scheme = headers_get(h, HDR_SCHEME);
	bool plain_connect = str_eqz(method, "CONNECT") && !headers_has(h, HDR_PROTOCOL);
	const char *bad;

	if (!valid_method(method, allow_custom_methods))
		return "method";
	if (plain_connect) {
		if (headers_has(h, HDR_PATH) || headers_has(h, HDR_SCHEME) ||
		    !headers_has(h, HDR_AUTHORITY))
			return "target";
	} else {
		if (!str_ieqz(scheme, "http") && !str_ieqz(scheme, "https"))
			return "scheme";
		bad = check_path(method, headers_get(h, HDR_PATH));
		if (bad)
			return bad;
	}
	bad = check_authority(h);
	return bad ? bad : check_fields(h);
}

const char *
validate_response_headers(const struct headers *h)
{
	unsigned status = headers_status(h);

	if (status < 100 || status > 599)
		return "status";
	return check_fields(h);
}

const char *
validate_trailers(const struct headers *t)
{
	for (uint32_t i = 0; i < t->len; i++) {
		if (trailer_forbidden((enum header_id)t->at[i].id) ||
		    (t->at[i].name_len && t->at[i].name[0] == ':'))
			return "trailer";
	}
	return check_fields(t);
}
