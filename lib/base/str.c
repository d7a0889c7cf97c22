#include "lib/base/str.h"

#include <stdio.h>

#include "lib/base/assert.h"
#include "lib/base/mem.h"

bool
str_ieq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (a.p[i] != b.p[i] && ch_lower(a.p[i]) != ch_lower(b.p[i]))
			return false;
	return true;
}

bool
str_ieqz(struct str a, const char *z)
{
	return str_ieq(a, str_of(z));
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

bool
str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0;
}

bool
str_istarts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_ieq(str_make(s.p, prefix.n), prefix);
}

bool
str_contains(struct str s, struct str needle)
{
	return needle.n == 0 || memmem(s.p, s.n, needle.p, needle.n) != NULL;
}

struct str
str_trim(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s.p++, s.n--;
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

bool
str_cut(struct str *s, char sep, struct str *part)
{
	const char *at;

	if (s->p == NULL)
		return false;
	at = memchr(s->p, sep, s->n);
	if (at == NULL) {
		*part = *s;
		*s = (struct str){NULL, 0};
		return true;
	}
	*part = str_make(s->p, (size_t)(at - s->p));
	s->n -= part->n + 1;
	s->p = at + 1;
	return true;
}

bool
str_u64(struct str s, uint64_t *out)
{
	uint64_t v = 0;
	size_t i = 0;

	if (s.n == 0)
		return false;
	for (; i < s.n && i < 19; i++) { /* so many digits always fit */
		unsigned d = (unsigned char)s.p[i] - '0';

		if (d > 9)
			return false;
		v = v * 10 + d;
	}
	for (; i < s.n; i++) {
		unsigned d = (unsigned char)s.p[i] - '0';

		if (d > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, d, &v))
			return false;
	}
	*out = v;
	return true;
}

bool
str_i64(struct str s, int64_t *out)
{
	bool neg = s.n && s.p[0] == '-';
	uint64_t v;

	if (neg)
		s.p++, s.n--;
	if (!str_u64(s, &v) || v > (uint64_t)INT64_MAX + neg)
		return false;
	*out = neg ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

/* Eight bytes at a time: 'A' to 'Z' are those whose sum with one constant has the top bit and with the
 * other has not. */
static inline uint64_t
lower8(uint64_t x)
{
	const uint64_t ones = ~0ull / 255, tops = ones << 7;
	uint64_t low = x & ~tops;
	uint64_t from_a = low + ones * (0x80 - 'A'), above_z = low + ones * (0x7f - 'Z');

	return x | (from_a & ~above_z & ~x & tops) >> 2;
}

static inline void
lower_at(char *to, const char *from)
{
	uint64_t x;

	memcpy(&x, from, 8);
	x = lower8(x);
	memcpy(to, &x, 8);
}

/* The last eight together, also those that were done before: twice makes no difference. */
void
str_lower(char *to, struct str s)
{
	size_t i = 0;

	if (s.n < 8) {
		for (; i < s.n; i++)
			to[i] = ch_lower(s.p[i]);
		return;
	}
	for (; i + 8 < s.n; i += 8)
		lower_at(to + i, s.p + i);
	lower_at(to + s.n - 8, s.p + s.n - 8);
}

char *
str_dupz(struct str s)
{
	return mem_strndup(s.p ? s.p : "", s.n);
}

bool
str_glob(struct str s, const char *pattern)
{
	const char *star = NULL;
	size_t i = 0, mark = 0;

	while (i < s.n) {
		if (*pattern == '*') {
			star = ++pattern;
			mark = i;
		} else if (*pattern == '?' || (*pattern && *pattern == s.p[i])) {
			pattern++, i++;
		} else if (star) {
			pattern = star;
			i = ++mark;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static __attribute__((noinline)) void
grow(struct strb *b, size_t need)
{
	if (b->cap == 0)
		b->cap = 64;
	while (b->cap < need)
		b->cap *= 2;
	b->p = mem_resize(b->p, b->cap);
}

static inline void
make_room(struct strb *b, size_t more)
{
	if (UNLIKELY(b->n + more + 1 > b->cap))
		grow(b, b->n + more + 1);
}

void
strb_reserve(struct strb *b, size_t more)
{
	make_room(b, more);
}

/* Most pieces are short: first and last bytes, which may be the same ones. */
static inline void
copy_short(char *to, const char *from, size_t n)
{
	if (n >= 8) {
		uint64_t first, last;

		memcpy(&first, from, 8);
		memcpy(&last, from + n - 8, 8);
		memcpy(to, &first, 8);
		memcpy(to + n - 8, &last, 8);
	} else if (n >= 4) {
		uint32_t first, last;

		memcpy(&first, from, 4);
		memcpy(&last, from + n - 4, 4);
		memcpy(to, &first, 4);
		memcpy(to + n - 4, &last, 4);
	} else if (n) {
		to[0] = from[0];
		to[n / 2] = from[n / 2];
		to[n - 1] = from[n - 1];
	}
}

void
strb_add(struct strb *b, const void *p, size_t n)
{
	make_room(b, n);
	if (n <= 16)
		copy_short(b->p + b->n, p, n);
	else
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
}

void
strb_addz(struct strb *b, const char *z)
{
	strb_add(b, z, strlen(z));
}

void
strb_addc(struct strb *b, char c)
{
	strb_add(b, &c, 1);
}

void
strb_addu(struct strb *b, uint64_t v)
{
	make_room(b, 20);
	b->n += u64_write(b->p + b->n, v);
	b->p[b->n] = '\0';
}

void
strb_addi(struct strb *b, int64_t v)
{
	if (v < 0)
		strb_addc(b, '-');
	strb_addu(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void
strb_vprintf(struct strb *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	strb_reserve(b, (size_t)n);
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
	va_end(again);
	b->n += (size_t)n;
}

void
strb_printf(struct strb *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strb_vprintf(b, fmt, ap);
	va_end(ap);
}

void
strb_reset(struct strb *b)
{
	b->n = 0;
	if (b->p)
		b->p[0] = '\0';
}

void
strb_fini(struct strb *b)
{
	mem_free(b->p);
	*b = (struct strb){0};
}

char *
strb_give(struct strb *b)
{
	char *p;

	strb_reserve(b, 0);
	p = b->p;
	p[b->n] = '\0';
	*b = (struct strb){0};
	return p;
}

/* How many decimal digits: log2 * log10(2), and one look whether that was one too few. */
static unsigned
digits_of(uint64_t v)
{
	static const uint64_t powers[] = {0, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
	    100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000,
	    100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
	    1000000000000000000, 10000000000000000000ull};
	unsigned n = (64u - (unsigned)__builtin_clzll(v | 1)) * 1233 >> 12;

	return n + (v >= powers[n]);
}

size_t
u64_write(char *out, uint64_t v)
{
	static const char pairs[] =
	    "00010203040506070809101112131415161718192021222324"
	    "25262728293031323334353637383940414243444546474849"
	    "50515253545556575859606162636465666768697071727374"
	    "75767778798081828384858687888990919293949596979899";
	char *at;
	unsigned n;

	if (v < 10) {
		*out = (char)('0' + v);
		return 1;
	}
	n = digits_of(v);
	for (at = out + n; v >= 100; v /= 100)
		memcpy(at -= 2, pairs + v % 100 * 2, 2);
	if (v >= 10)
		memcpy(at - 2, pairs + v * 2, 2);
	else
		at[-1] = (char)('0' + v);
	return n;
}
