/*
 * What each %OPERATOR% prints, one function per row of
 * conf/access_log_operators.def, and how an operator is read.
 */
#include "worker/access_log/operator.h"

#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "lib/http/validate.h"
#include "lib/net/address.h"
#include "worker/access_log/start_time.h"

/* ---- values */

static void
set_text(struct value *v, struct str s)
{
	v->kind = s.n ? VALUE_TEXT : VALUE_MISSING;
	v->text = s;
}

static void
set_number(struct value *v, uint64_t n)
{
	v->kind = VALUE_NUMBER;
	v->number = n;
}

static void
set_address(struct value *v, const struct address *a, bool port)
{
	size_t n = 0;

	if (a && a->len)
		n = port ? address_format(a, v->scratch) : address_format_ip(a, v->scratch);
	if (n && !address_is_ip(a))
		value_clean(v->scratch, n); /* the name of a Unix socket is whose it is */
	set_text(v, str_make(v->scratch, n));
}

/* Milliseconds from the start to a later moment that may not have come. */
static void
set_ms(struct value *v, const struct stream_info *info, uint64_t at_ns)
{
	v->kind = VALUE_MISSING;
	if (at_ns >= info->start_ns && at_ns)
		set_number(v, (at_ns - info->start_ns) / NS_PER_MS);
}

static inline const struct header *
header_of(const struct headers *h, uint8_t id, const struct str *name)
{
	return id == HDR_OTHER ? headers_find(h, *name) : headers_find_id(h, id);
}

/* A header that is there without a value prints nothing, not "-".  One place for REQ and RESP. */
static __attribute__((noinline)) void
set_header(const struct operator *op, const struct headers *h, struct value *v)
{
	const struct header *x = h ? header_of(h, op->id, &op->more->name) : NULL;

	if (x == NULL && op->has_other && h)
		x = header_of(h, op->other_id, &op->more->other);
	v->kind = x ? VALUE_TEXT : VALUE_MISSING;
	v->text = x ? header_value(x) : str_make("", 0);
}

static void
set_flags(struct value *v, uint32_t flags, const char *const *names)
{
	size_t n = 0;

	for (unsigned bit = 0; flags; bit++, flags >>= 1) {
		size_t len = strlen(names[bit]);

		if ((flags & 1) == 0)
			continue;
		if (n + len + 1 > VALUE_SCRATCH)
			break;
		if (n)
			v->scratch[n++] = ',';
		memcpy(v->scratch + n, names[bit], len);
		n += len;
	}
	set_text(v, n ? str_make(v->scratch, n) : STR("-"));
}

/* ---- operators */

#define GET(name)                                                                                  \
	static void get_##name(                                                                    \
	    const struct operator *op, const struct stream_info *info, struct value *v)

GET(START_TIME)
{
	size_t n = start_time_write(op->more->time, info->start_wall_ns, v->scratch, VALUE_SCRATCH);

	set_text(v, str_make(v->scratch, n));
}

GET(REQ)
{
	set_header(op, info->request, v);
}

GET(RESP)
{
	set_header(op, info->response, v);
}

GET(PROTOCOL)
{
	static const struct str names[] = {
		[HTTP_10] = {"HTTP/1.0", 8},
		[HTTP_11] = {"HTTP/1.1", 8},
		[HTTP_2] = {"HTTP/2", 6},
	};

	set_text(v, names[info->protocol]);
}

GET(RESPONSE_CODE)
{
	set_number(v, info->status);
}

GET(RESPONSE_CODE_DETAILS)
{
	set_text(v, info->details);
}

GET(RESPONSE_FLAGS)
{
	static const char *const names[] = {
#define FLAG(id, letters, name) letters,
#include "worker/access_log/flags.def"
#undef FLAG
	};

	set_flags(v, info->flags, names);
}

GET(RESPONSE_FLAGS_LONG)
{
	static const char *const names[] = {
#define FLAG(id, letters, name) name,
#include "worker/access_log/flags.def"
#undef FLAG
	};

	set_flags(v, info->flags, names);
}

GET(BYTES_RECEIVED)
{
	set_number(v, info->bytes_in);
}

GET(BYTES_SENT)
{
	set_number(v, info->bytes_out);
}

GET(DURATION)
{
	set_ms(v, info, info->end_ns);
}

GET(REQUEST_DURATION)
{
	set_ms(v, info, info->request_done_ns);
}

GET(RESPONSE_DURATION)
{
	set_ms(v, info, info->response_first_ns);
}

GET(UPSTREAM_HOST)
{
	set_address(v, info->upstream, true);
}

GET(UPSTREAM_CLUSTER)
{
	set_text(v, info->cluster_name);
}

GET(UPSTREAM_TRANSPORT_FAILURE_REASON)
{
	set_text(v, info->transport_failure);
}

GET(UPSTREAM_REQUEST_ATTEMPT_COUNT)
{
	set_number(v, info->attempts);
}

GET(ROUTE_NAME)
{
	set_text(v, info->route_name);
}

GET(CONNECTION_ID)
{
	set_number(v, info->connection_id);
}

GET(CONNECTION_TERMINATION_DETAILS)
{
	set_text(v, info->termination);
}

GET(DOWNSTREAM_REMOTE_ADDRESS)
{
	set_address(v, info->remote, true);
}

GET(DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT)
{
	set_address(v, info->remote, false);
}

GET(DOWNSTREAM_DIRECT_REMOTE_ADDRESS)
{
	set_address(v, info->direct_remote, true);
}

GET(DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT)
{
	set_address(v, info->direct_remote, false);
}

GET(DOWNSTREAM_LOCAL_ADDRESS)
{
	set_address(v, info->local, true);
}

GET(DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT)
{
	set_address(v, info->local, false);
}

GET(HOSTNAME)
{
	set_text(v, str_of(info->hostname));
}

/* ---- reading */

enum argument {
	NONE,
	OPTIONAL,
	HEADER,
};

enum max_length {
	NO,
	YES,
};

static const struct row {
	struct str name;
	enum argument argument;
	enum max_length max_length;
	operator_fn *get;
} rows[] = {
#define OPERATOR(name, argument, max_length)                                                       \
	{{#name, sizeof(#name) - 1}, argument, max_length, get_##name},
#include "conf/access_log_operators.def"
#undef OPERATOR
};

static const struct row *
row_named(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (str_eq(rows[i].name, name))
			return &rows[i];
	}
	return NULL;
}

/* `host` is :authority inside, whichever protocol brought it. */
static struct str
header_name_of(struct str written, struct arena *a, uint8_t *id)
{
	struct str name = arena_lower(a, written);

	*id = (uint8_t)header_id_of(name);
	if (*id == HDR_HOST)
		*id = HDR_AUTHORITY;
	return name;
}

static int
read_argument(struct operator *op, struct operator_more *more, const struct row *row,
    struct str argument, bool given, struct arena *a, struct err *err)
{
	struct str rest = argument, first;

	if (row->get == get_START_TIME)
		more->time = start_time_compile(argument, a);
	if (row->argument == NONE && given)
		return err_set(err, "%%" STR_FMT "%% takes no argument", STR_ARG(row->name));
	if (row->argument != HEADER)
		return 0;
	if (!str_cut(&rest, '?', &first) || first.n == 0)
		return err_set(
		    err, "%%" STR_FMT "%% needs the name of a header", STR_ARG(row->name));
	more->name = header_name_of(first, a, &op->id);
	op->has_other = rest.n > 0;
	if (op->has_other)
		more->other = header_name_of(rest, a, &op->other_id);
	return 0;
}

/* ":Z" in front of the closing '%'. */
static int
read_length(struct operator *op, struct operator_more *more, const struct row *row, struct str s,
    struct err *err)
{
	op->cut = s.n > 0;
	if (op->cut && (s.p[0] != ':' || row->max_length == NO ||
			   !str_u64(str_make(s.p + 1, s.n - 1), &more->most)))
		return err_set(
		    err, "'" STR_FMT "' behind %%" STR_FMT "%%", STR_ARG(s), STR_ARG(row->name));
	return 0;
}

static size_t
name_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != '(' && s.p[n] != ':' && s.p[n] != '%')
		n++;
	return n;
}

int
operator_compile(struct operator *op, struct str *text, struct arena *a, struct err *err)
{
	struct str s = *text, argument = {NULL, 0};
	size_t at = name_length(s), close;
	const struct row *row = row_named(str_make(s.p, at));
	bool given = at < s.n && s.p[at] == '(';
	struct operator_more *more;

	if (row == NULL)
		return err_set(err, "unknown operator %%" STR_FMT "%%", (int)at, s.p);
	more = arena_new(a, struct operator_more);
	*op = (struct operator){.get = row->get, .more = more};
	if (given) {
		const char *end = memchr(s.p + at, ')', s.n - at);

		if (end == NULL)
			return err_set(err, "no ')' behind %%" STR_FMT "(", STR_ARG(row->name));
		argument = str_make(s.p + at + 1, (size_t)(end - s.p) - at - 1);
		at = (size_t)(end - s.p) + 1;
	}
	for (close = at; close < s.n && s.p[close] != '%';)
		close++;
	if (close == s.n)
		return err_set(err, "no '%%' behind %%" STR_FMT, STR_ARG(row->name));
	if (read_argument(op, more, row, argument, given, a, err) < 0 ||
	    read_length(op, more, row, str_make(s.p + at, close - at), err) < 0)
		return -1;
	*text = str_make(s.p + close + 1, s.n - close - 1);
	return 0;
}
