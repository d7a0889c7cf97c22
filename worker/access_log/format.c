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
	p->n = (uint8_t)left.n;
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

/* A literal, then a number, what an operator makes in place, or a text as short as that. */
#define PIECE_ROOM (LITERAL_MAX + VALUE_SCRATCH)

/*
 * Where a line is written.  From `at` on there is room for all pieces that
 * are still to come, unless a text is longer than PIECE_ROOM allows for.
 */
struct line {
	char *at;
	struct strb *out;
	size_t room;
};

static inline void
begin_line(struct line *l, const struct text_format *f, struct strb *out)
{
	*l = (struct line){.out = out, .room = f->n * PIECE_ROOM};
	strb_reserve(out, l->room);
	l->at = out->p + out->n;
}

static __attribute__((noinline)) void
make_room(struct line *l, size_t n)
{
	l->out->n = (size_t)(l->at - l->out->p);
	strb_reserve(l->out, n + l->room);
	l->at = l->out->p + l->out->n;
}

static inline void
end_line(struct line *l)
{
	l->out->n = (size_t)(l->at - l->out->p);
	*l->at = '\0';
}

/* Codecs refuse control bytes in fields, filters and configuration might not: a line stays a line. */
static inline void
write_text(struct line *l, struct str text)
{
	if (UNLIKELY(text.n > VALUE_SCRATCH))
		make_room(l, text.n);
	if (UNLIKELY(!value_copy(l->at, text)))
		value_clean(l->at, text.n);
	l->at += text.n;
}

static inline void
write_operator(struct line *l, const struct operator *op, const struct stream_info *info, bool dash)
{
	struct value v;

	v.scratch = l->at;
	operator_value(op, info, &v);
	if (v.kind == VALUE_NUMBER) {
		l->at += u64_write(l->at, v.number);
	} else if (v.kind == VALUE_MISSING) {
		*l->at = '-';
		l->at += dash;
	} else if (v.text.p == l->at) { /* it is where it belongs already */
		l->at += v.text.n;
	} else {
		write_text(l, v.text);
	}
}

void
text_format_write(const struct text_format *f, const struct stream_info *info, struct strb *out)
{
	struct line l;

	begin_line(&l, f, out);
	for (const struct piece *p = f->pieces, *end = p + f->n; p < end; p++) {
		memcpy(l.at, p->literal, LITERAL_MAX);
		l.at += p->n;
		if (p->op.get)
			write_operator(&l, &p->op, info, f->dash);
	}
	end_line(&l);
}

void
format_write(const struct format *f, const struct stream_info *info, struct strb *out)
{
	if (f->json)
		json_format_write(f->json, info, out);
	else
		text_format_write(&f->text, info, out);
}
