/*
 * Text formats: read once, written for every line and for header values
 * of routes.  Run by workers; a format belongs to a snapshot.
 */
#include "worker/access_log/format.h"

#include "lib/base/vec.h"
#include "lib/http/validate.h"
#include "worker/access_log/format_private.h"

const char format_default_text[] =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

typedef VEC(struct piece) piece_vec;

/* Gives the last piece, whose operator is still to come. */
static struct piece *
end_literal(piece_vec *pieces, struct strb *literal)
{
	struct str left = strb_str(literal);
	struct piece *p = vec_push(pieces);

	for (; left.n > LITERAL_MAX; p = vec_push(pieces)) {
		p->n = LITERAL_MAX;
		memcpy(p->literal, left.p, LITERAL_MAX);
		left = str_make(left.p + LITERAL_MAX, left.n - LITERAL_MAX);
	}
	p->n = (unsigned)left.n;
	memcpy(p->literal, left.p, left.n);
	strb_reset(literal);
	return p;
}

static int
read_pieces(
    piece_vec *pieces, struct strb *literal, struct str text, struct arena *a, struct err *err)
{
	while (text.n) {
		const char *percent = memchr(text.p, '%', text.n);
		size_t n = percent ? (size_t)(percent - text.p) : text.n;

		strb_add(literal, text.p, n);
		if (percent == NULL)
			break;
		text = str_make(percent + 1, text.n - n - 1);
		if (text.n && text.p[0] == '%') {
			strb_addc(literal, '%');
			text = str_make(text.p + 1, text.n - 1);
			continue;
		}
		if (operator_compile(&end_literal(pieces, literal)->op, &text, a, err) < 0)
			return -1;
	}
	if (literal->n)
		end_literal(pieces, literal);
	return 0;
}

int
text_format_compile(struct text_format *out, struct str text, bool omit_empty, struct arena *a,
    struct err *err)
{
	piece_vec pieces = {0};
	struct strb literal = {0};
	int rc = read_pieces(&pieces, &literal, text, a, err);

	*out = (struct text_format){.dash = !omit_empty};
	if (rc == 0 && pieces.len) {
		out->n = (unsigned)pieces.len;
		out->pieces = arena_alloc(a, pieces.len * sizeof(*out->pieces));
		memcpy(out->pieces, pieces.at, pieces.len * sizeof(*out->pieces));
	}
	vec_fini(&pieces);
	strb_fini(&literal);
	return rc;
}

int
format_compile_text(struct format **out, struct str text, const struct format_options *o,
    struct arena *a, struct err *err)
{
	struct format *f = arena_new(a, struct format);

	*out = f;
	return text_format_compile(&f->text, text, o->omit_empty, a, err);
}

int
format_compile(struct format **out, struct str text, struct arena *a, struct err *err)
{
	static const struct format_options plain;

	return format_compile_text(out, text, &plain, a, err);
}

/* ---- writing */

/* A literal, then a number or what an operator makes in place. */
#define PIECE_ROOM (LITERAL_MAX + VALUE_SCRATCH)

static inline void
write_missing(const struct text_format *f, char *at, struct strb *out)
{
	*at = '-';
	out->n += f->dash;
}

/* Codecs refuse control bytes in fields, filters and configuration might not: a line stays a line. */
static inline void
write_text(struct str text, struct strb *out)
{
	char *at;

	strb_reserve(out, text.n);
	at = out->p + out->n;
	if (!value_copy(at, text))
		value_clean(at, text.n);
	out->n += text.n;
}

static inline void
write_operator(const struct text_format *f, const struct operator *op,
    const struct stream_info *info, struct strb *out)
{
	char *at = out->p + out->n;
	struct value v;

	v.scratch = at;
	operator_value(op, info, &v);
	if (v.kind == VALUE_NUMBER)
		out->n += u64_write(at, v.number);
	else if (v.kind == VALUE_MISSING)
		write_missing(f, at, out);
	else if (v.text.p == at) /* it is where it belongs already */
		out->n += v.text.n;
	else
		write_text(v.text, out);
}

void
text_format_write(const struct text_format *f, const struct stream_info *info, struct strb *out)
{
	for (const struct piece *p = f->pieces, *end = p + f->n; p < end; p++) {
		strb_reserve(out, PIECE_ROOM);
		memcpy(out->p + out->n, p->literal, LITERAL_MAX);
		out->n += p->n;
		if (p->op.get)
			write_operator(f, &p->op, info, out);
	}
	strb_reserve(out, 0);
	out->p[out->n] = '\0';
}

void
format_write(const struct format *f, const struct stream_info *info, struct strb *out)
{
	if (f->json)
		json_format_write(f->json, info, out);
	else
		text_format_write(&f->text, info, out);
}
