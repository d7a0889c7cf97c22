/*
 * Body framing (guards H13, H14).  http-parser as packaged takes spaces,
 * junk and lone line ends between chunks; nothing of that passes here.
 */
#include "lib/http/h1_body.h"

#include "lib/base/assert.h"
#include "lib/http/validate.h"

#define MAX_SIZE_DIGITS 16
#define MAX_EXTENSION_BYTES (16 * 1024) /* a message: extensions are dropped, not free */

enum step {
	STEP_COUNT, /* content-length */
	STEP_ENDLESS,
	STEP_SIZE,
	STEP_EXTENSION,
	STEP_SIZE_LF,
	STEP_CHUNK,
	STEP_CHUNK_CR,
	STEP_CHUNK_LF,
	STEP_TRAILERS,
	STEP_COMPLETE,
};

void
h1_body_start(struct h1_body *b, struct h1_judge *judge, const struct h1_message *m)
{
	static const enum step first[] = {[H1_NO_BODY] = STEP_COMPLETE,
	    [H1_LENGTH] = STEP_COUNT,
	    [H1_CHUNKED] = STEP_SIZE,
	    [H1_UNTIL_CLOSE] = STEP_ENDLESS};

	*b =
	    (struct h1_body){.judge = judge, .left = m->length, .step = (uint8_t)first[m->framing]};
}

bool
h1_body_complete(const struct h1_body *b)
{
	return b->step == STEP_COMPLETE;
}

uint64_t
h1_body_unseen(const struct h1_body *b)
{
	return b->step == STEP_COUNT ? b->left : 0;
}

bool
h1_body_at_trailers(const struct h1_body *b)
{
	return b->step == STEP_TRAILERS;
}

static int
hex_digit(char c)
{
	if ((unsigned)(c - '0') < 10u)
		return c - '0';
	c = ch_lower(c);
	return (unsigned)(c - 'a') < 6u ? c - 'a' + 10 : -1;
}

static enum h1_error
on_size(struct h1_body *b, char c)
{
	int digit = hex_digit(c);

	if (digit >= 0) {
		if (b->digits++ == MAX_SIZE_DIGITS || b->left > INT64_MAX >> 4)
			return H1_CHUNK_SIZE;
		b->left = b->left << 4 | (unsigned)digit;
		return H1_OK;
	}
	if (c == '\n')
		return H1_BARE_LF;
	if (b->digits == 0 || (c != '\r' && c != ';'))
		return H1_CHUNK_SIZE;
	b->step = c == ';' ? STEP_EXTENSION : STEP_SIZE_LF;
	return H1_OK;
}

static enum h1_error
on_extension(struct h1_body *b, char c)
{
	if (c == '\n')
		return H1_BARE_LF;
	if (c == '\r') {
		b->step = STEP_SIZE_LF;
		return H1_OK;
	}
	return is_control((unsigned char)c) || ++b->extension_bytes > MAX_EXTENSION_BYTES
		   ? H1_CHUNK_SIZE
		   : H1_OK;
}

/* One byte of framing. */
static enum h1_error
on_byte(struct h1_body *b, char c)
{
	switch ((enum step)b->step) {
	case STEP_SIZE:
		return on_size(b, c);
	case STEP_EXTENSION:
		return on_extension(b, c);
	case STEP_SIZE_LF:
		b->step = b->left ? STEP_CHUNK : STEP_TRAILERS;
		return c == '\n' ? H1_OK : H1_CR;
	case STEP_CHUNK_CR:
		b->step = STEP_CHUNK_LF;
		return c == '\r' ? H1_OK : H1_CHUNK_CRLF;
	case STEP_CHUNK_LF:
		b->step = STEP_SIZE;
		b->digits = 0;
		return c == '\n' ? H1_OK : H1_CHUNK_CRLF;
	default:
		UNREACHABLE();
	}
}

/* Payload: of the first slice of `in`. */
static enum h1_error
take_payload(struct h1_body *b, struct buf *in, struct buf *out)
{
	struct slice *s = buf_slice(in, 0);
	bool endless = b->step == STEP_ENDLESS;
	size_t k = endless || s->len < b->left ? s->len : (size_t)b->left;

	/* Of a known length both had the same number: it may as well stay in the kernel. */
	if (b->step != STEP_COUNT && !h1_judge_bytes(b->judge, slice_data(s), k))
		return H1_JUDGE;
	buf_move_n(out, in, k);
	if (endless)
		return H1_OK;
	b->left -= k;
	if (b->left == 0)
		b->step = b->step == STEP_COUNT ? STEP_COMPLETE : STEP_CHUNK_CR;
	return H1_OK;
}

/* Framing bytes at the front of `in`, as far as the first slice has them. */
static enum h1_error
take_framing(struct h1_body *b, struct buf *in)
{
	struct slice *s = buf_slice(in, 0);
	const char *p = slice_data(s);
	enum h1_error e = H1_OK;
	size_t k = 0;

	while (k < s->len && e == H1_OK && b->step != STEP_CHUNK && b->step != STEP_TRAILERS)
		e = on_byte(b, p[k++]);
	if (e)
		return e;
	if (!h1_judge_bytes(b->judge, p, k) ||
	    (b->step == STEP_CHUNK && h1_judge_left(b->judge) != b->left))
		return H1_JUDGE;
	buf_drain(in, k);
	return H1_OK;
}

enum h1_error
h1_body_take(struct h1_body *b, struct buf *in, struct buf *out)
{
	enum h1_error e = H1_OK;

	while (!buf_empty(in) && e == H1_OK) {
		switch ((enum step)b->step) {
		case STEP_COUNT:
		case STEP_ENDLESS:
		case STEP_CHUNK:
			e = take_payload(b, in, out);
			break;
		case STEP_TRAILERS:
		case STEP_COMPLETE:
			return H1_OK;
		default:
			e = take_framing(b, in);
		}
	}
	return e;
}
