/*
 * The bytes of a head, sixteen at a time where the processor can (SSE2,
 * which every x86-64 has), else eight.  Each function looks at b[at..n)
 * and gives the place of the first byte that ends what it looks for, or n;
 * where less than a block is left it may look at bytes before `at` again.
 * Inline, for the HTTP/1 parser and for validate.h; pure.
 */
#ifndef HTTP_SCAN_H
#define HTTP_SCAN_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool
is_control(unsigned char c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* Printable ASCII without space and '#'. */
static inline bool
is_target(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '#';
}

#ifdef __SSE2__

#define SCAN_BLOCK 16

static inline __m128i
scan_load(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* A bit for each byte of a block below space, TAB among them, or DEL. */
static inline unsigned
scan_controls(const char *p)
{
	__m128i x = scan_load(p);
	__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f))));
}

/* A bit for each byte of a block that is not is_target(). */
static inline unsigned
scan_no_target(const char *p)
{
	__m128i x = scan_load(p);
	__m128i other = _mm_or_si128(
	    _mm_cmpeq_epi8(x, _mm_set1_epi8('#')), _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)));

	/* as signed bytes, what is above ASCII is below zero */
	return (unsigned)_mm_movemask_epi8(_mm_or_si128(other, _mm_cmplt_epi8(x, _mm_set1_epi8(0x21))));
}

/* The bits of b[at..n), which is shorter than a block, of a block that ends with it. */
#define SCAN_REST(bits, b, at, n) ((bits)((b) + (n)-SCAN_BLOCK) >> (SCAN_BLOCK - ((n) - (at))))

static inline size_t
value_end(const char *b, size_t at, size_t n)
{
	unsigned hits = 0;

	for (; n - at >= SCAN_BLOCK; at += SCAN_BLOCK)
		for (hits = scan_controls(b + at); hits; hits &= hits - 1)
			if (b[at + (unsigned)__builtin_ctz(hits)] != '\t')
				return at + (unsigned)__builtin_ctz(hits);
	if (n < SCAN_BLOCK) {
		while (at < n && !is_control((unsigned char)b[at]))
			at++;
		return at;
	}
	for (hits = SCAN_REST(scan_controls, b, at, n); hits; hits &= hits - 1)
		if (b[at + (unsigned)__builtin_ctz(hits)] != '\t')
			return at + (unsigned)__builtin_ctz(hits);
	return n;
}

static inline size_t
target_end(const char *b, size_t at, size_t n)
{
	unsigned hits;

	for (; n - at >= SCAN_BLOCK; at += SCAN_BLOCK)
		if ((hits = scan_no_target(b + at)) != 0)
			return at + (unsigned)__builtin_ctz(hits);
	if (n < SCAN_BLOCK) {
		while (at < n && is_target((unsigned char)b[at]))
			at++;
		return at;
	}
	hits = SCAN_REST(scan_no_target, b, at, n);
	return hits ? at + (unsigned)__builtin_ctz(hits) : n;
}

/*
 * How many bytes of a block from the first on are letters, digits or '-';
 * those are put into lower case where they lie: 0x20 is a bit that digits
 * and '-' have already.
 */
static inline unsigned
scan_name(char *p)
{
	static const unsigned char masks[2 * SCAN_BLOCK] = {0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
	    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20};
	__m128i x = scan_load(p), folded = _mm_or_si128(x, _mm_set1_epi8(0x20));
	/* shifted so that the range begins at -128, where signed bytes begin */
	__m128i letters = _mm_cmplt_epi8(
	    _mm_add_epi8(folded, _mm_set1_epi8((char)(0x80 - 'a'))), _mm_set1_epi8(-128 + 26));
	__m128i digits = _mm_cmplt_epi8(
	    _mm_add_epi8(x, _mm_set1_epi8((char)(0x80 - '0'))), _mm_set1_epi8(-128 + 10));
	__m128i fine =
	    _mm_or_si128(_mm_or_si128(letters, digits), _mm_cmpeq_epi8(x, _mm_set1_epi8('-')));
	unsigned n = (unsigned)__builtin_ctz(~(unsigned)_mm_movemask_epi8(fine));

	x = _mm_or_si128(x, scan_load((const char *)masks + SCAN_BLOCK - n));
	_mm_storeu_si128((__m128i *)(void *)p, x);
	return n;
}

#else

#define SCAN_BLOCK 8

/*
 * The lowest hit of either test is exact, for a borrow only spoils what
 * lies above it.
 */
static inline size_t
value_end(const char *b, size_t at, size_t n)
{
	const uint64_t ones = ~0ull / 255, tops = ones << 7;

	while (n - at >= SCAN_BLOCK) {
		uint64_t x, del, hits;

		memcpy(&x, b + at, 8);
		x = le64toh(x);
		del = x ^ ones * 0x7f;
		hits = ((x - ones * 0x20) & ~x & tops) | ((del - ones) & ~del & tops);
		if (hits == 0) {
			at += 8;
			continue;
		}
		at += (size_t)__builtin_ctzll(hits) / 8;
		if (b[at] != '\t')
			return at;
		at++;
	}
	while (at < n && !is_control((unsigned char)b[at]))
		at++;
	return at;
}

static inline size_t
target_end(const char *b, size_t at, size_t n)
{
	while (at < n && is_target((unsigned char)b[at]))
		at++;
	return at;
}

/*
 * How many bytes of a block from the first on are letters or '-'; those
 * are put into lower case where they lie.
 */
static inline unsigned
scan_name(char *p)
{
	const uint64_t ones = ~0ull / 255, tops = ones << 7;
	uint64_t x, folded, letters, dashes, others;

	memcpy(&x, p, 8);
	x = le64toh(x);
	folded = (x | ones * 0x20) & ~tops;
	letters = (folded + ones * (0x80 - 'a')) & ~(folded + ones * (0x7f - 'z'));
	dashes = ~(((x ^ ones * '-') & ~tops) + ones * 0x7f);
	others = ~((letters | dashes) & ~x) & tops;
	if (others)
		x |= ones * 0x20 & ((others & -others) - 1) >> 7;
	else
		x |= ones * 0x20;
	x = htole64(x);
	memcpy(p, &x, 8);
	return others ? (unsigned)__builtin_ctzll(others) / 8 : 8;
}

#endif

/* Length of the part of p[0..n) before the first control byte (TAB is none) or DEL. */
static inline size_t
value_span(const char *p, size_t n)
{
	return value_end(p, 0, n);
}

#endif
