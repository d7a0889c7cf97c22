/*
 * Counted strings and a builder.  A `struct str` borrows its bytes and is
 * passed by value; a `struct strb` owns its bytes, which always end in a
 * NUL that is not counted.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1})
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str
str_make(const char *p, size_t n)
{
	return (struct str){p, n};
}

static inline struct str
str_of(const char *z)
{
	return (struct str){z, z ? strlen(z) : 0};
}

static inline bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (b.n == 0 || memcmp(a.p, b.p, b.n) == 0); /* b.n: often a constant */
}

static inline bool
str_eqz(struct str a, const char *z)
{
	return str_eq(a, str_of(z));
}

bool str_ieq(struct str a, struct str b); /* ASCII case ignored */
bool str_ieqz(struct str a, const char *z);
int str_cmp(struct str a, struct str b); /* by bytes */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_istarts(struct str s, struct str prefix);
bool str_contains(struct str s, struct str needle);
struct str str_trim(struct str s); /* spaces and tabs at both ends */
/* Cuts at the first `sep`: gives the part before, leaves the rest in *s (n = 0, p = NULL at the
 * end).  False when nothing is left. */
bool str_cut(struct str *s, char sep, struct str *part);
/* Whole string is a number without sign; false on junk, emptiness or overflow. */
bool str_u64(struct str s, uint64_t *out);
bool str_i64(struct str s, int64_t *out);
char *str_dupz(struct str s); /* gives a NUL-terminated copy */
void str_lower(char *to, struct str s); /* s.n bytes, ASCII letters in lower case; to may be s.p */
/* '*' any run, '?' one byte; the whole string must match. */
bool str_glob(struct str s, const char *pattern);

static inline char
ch_lower(char c)
{
	return (unsigned)(c - 'A') < 26u ? (char)(c | 0x20) : c;
}

struct strb {
	char *p; /* NULL until something is added */
	size_t n, cap;
};

void strb_reserve(struct strb *b, size_t more);
void strb_add(struct strb *b, const void *p, size_t n);
void strb_addz(struct strb *b, const char *z);
void strb_addc(struct strb *b, char c);
void strb_addu(struct strb *b, uint64_t v); /* decimal */
void strb_addi(struct strb *b, int64_t v);
void strb_printf(struct strb *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strb_vprintf(struct strb *b, const char *fmt, va_list ap);
void strb_reset(struct strb *b); /* keeps the memory */
void strb_fini(struct strb *b);
char *strb_give(struct strb *b); /* caller owns; never NULL; builder is empty again */

static inline void
strb_adds(struct strb *b, struct str s)
{
	strb_add(b, s.p, s.n);
}

static inline struct str
strb_str(const struct strb *b)
{
	return (struct str){b->p ? b->p : "", b->n};
}

static inline const char *
strb_z(const struct strb *b)
{
	return b->p ? b->p : "";
}

/* Decimal digits of v into out (at least 20 bytes); gives the length. */
size_t u64_write(char *out, uint64_t v);

#endif
