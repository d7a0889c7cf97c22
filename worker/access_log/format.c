/*
 * Text formats: read once, written for every line and for header values
 * of routes.  Run by workers; a format belongs to a snapshot.
 */
#include "worker/access_log/format.h"

#include "lib/base/vec.h"
#include "worker/access_log/format_private.h"

const char format_default_text[] =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

typedef VEC(struct piece) piece_vec;

static struct piece *
end_literal(piece_vec *pieces, struct strb *literal, struct arena *a)
{
	struct piece *p = vec_push(pieces);
	char *bytes;

	if (literal->n) {
		bytes = arena_zalloc(a, literal->n < LITERAL_COPIED ? LITERAL_COPIED : literal->n);
		memcpy(bytes, literal->p, literal->n);
		p->literal = str_make(bytes, literal->n);
	}
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
		if (operator_compile(&end_literal(pieces, literal, a)->op, &text, a, err) < 0)
			return -1;
	}
	if (literal->n)
		end_literal(pieces, literal, a);
	return 0;
}

int
text_format_compile(struct text_format *out, struct str text, bool omit_empty, struct arena *a,
    struct err *err)
{
	piece_vec pieces = {0};
	struct strb literal = {0};
	int rc = read_pieces(&pieces, &literal, text, a, err);

	*out = (struct text_format){.missing = omit_empty ? STR("") : STR("-")};
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

/* Between two operators stands a byte or three: copied in one go with what is behind them. */
static inline void
write_literal(struct str literal, struct strb *out)
{
	if (literal.n == 0)
		return;
	if (literal.n > LITERAL_COPIED) {
		strb_adds(out, literal);
		return;
	}
	if (out->cap - out->n <= LITERAL_COPIED)
		strb_reserve(out, LITERAL_COPIED);
	memcpy(out->p + out->n, literal.p, LITERAL_COPIED);
	out->n += literal.n;
	out->p[out->n] = '\0';
}

void
text_format_write(const struct text_format *f, const struct stream_info *info, struct strb *out)
{
	struct value v;

	for (const struct piece *p = f->pieces, *end = p + f->n; p < end; p++) {
		write_literal(p->literal, out);
		if (p->op.get == NULL)
			continue;
		operator_value(&p->op, info, &v);
		if (v.kind == VALUE_NUMBER)
			strb_addu(out, v.number);
		else
			strb_adds(out, v.kind == VALUE_TEXT ? v.text : f->missing);
	}
}

void
format_write(const struct format *f, const struct stream_info *info, struct strb *out)
{
	if (f->json)
		json_format_write(f->json, info, out);
	else
		text_format_write(&f->text, info, out);
}
