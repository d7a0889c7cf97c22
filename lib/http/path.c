/* Path rewriting.  Pure; the worker's, for each request that asks for it. */
#include "lib/http/path.h"

#include <sys/types.h>

#include "lib/base/assert.h"

static int
hex_digit(char c)
{
	if ((unsigned)(c - '0') < 10u)
		return c - '0';
	c = ch_lower(c);
	return (unsigned)(c - 'a') < 6u ? c - 'a' + 10 : -1;
}

/* The byte that "%XX" at p[0..n) stands for, or -1. */
static int
escaped_byte(const char *p, size_t n)
{
	int hi, lo;

	if (n < 3 || p[0] != '%')
		return -1;
	hi = hex_digit(p[1]);
	lo = hex_digit(p[2]);
	return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

static bool
is_unreserved(int c)
{
	return (unsigned)(c - '0') < 10u || (unsigned)((c | 0x20) - 'a') < 26u || c == '-' ||
	       c == '.' || c == '_' || c == '~';
}

static bool
must_escape(unsigned char c)
{
	return c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '`' || c == '{' ||
	       c == '}';
}

struct str
path_only(struct str path)
{
	size_t n = 0;

	while (n < path.n && path.p[n] != '?' && path.p[n] != '#')
		n++;
	return str_make(path.p, n);
}

struct str
path_strip_fragment(struct str path)
{
	const char *hash = path.n ? memchr(path.p, '#', path.n) : NULL;

	return hash ? str_make(path.p, (size_t)(hash - path.p)) : path;
}

bool
path_has_fragment(struct str path)
{
	return path_strip_fragment(path).n != path.n;
}

struct str
path_query(struct str path)
{
	size_t n = path_only(path).n;

	path = path_strip_fragment(path);
	if (n >= path.n)
		return str_make(NULL, 0);
	return str_make(path.p + n + 1, path.n - n - 1);
}

/* Would c make an escape of a broken one in front of it?  "%2%65" must not become "%2e". */
static bool
completes_escape(const char *begin, const char *out, int c)
{
	if (hex_digit((char)c) < 0)
		return false;
	return (out - begin >= 1 && out[-1] == '%') ||
	       (out - begin >= 2 && out[-2] == '%' && hex_digit(out[-1]) >= 0);
}

/* One byte of a path, as it should stand there, to out; gives how many bytes of p it used. */
static size_t
normal_byte(const char *p, size_t n, const char *begin, char **out)
{
	static const char hex[] = "0123456789ABCDEF";
	int c = escaped_byte(p, n);

	if (c >= 0) {
		if (is_unreserved(c) && !completes_escape(begin, *out, c)) {
			*(*out)++ = (char)c;
		} else {
			memcpy(*out, p, 3);
			*out += 3;
		}
		return 3;
	}
	if (must_escape((unsigned char)*p)) {
		*(*out)++ = '%';
		*(*out)++ = hex[(unsigned char)*p >> 4];
		*(*out)++ = hex[*p & 15];
		return 1;
	}
	*(*out)++ = *p == '\\' ? '/' : *p;
	return 1;
}

/* Characters and escapes first, so that dot segments show; gives the length, -1 for NUL. */
static ssize_t
normal_bytes(char *out, struct str from)
{
	char *to = out;
	size_t i = 0;

	while (i < from.n) {
		if (from.p[i] == '\0' || escaped_byte(from.p + i, from.n - i) == 0)
			return -1;
		i += normal_byte(from.p + i, from.n - i, out, &to);
	}
	return to - out;
}

/* Resolves . and .. in place; p[0] is '/'.  Gives the new length. */
static size_t
resolve_dots(char *p, size_t n)
{
	size_t in = 0, out = 0;

	while (in < n) {
		size_t end = in + 1, len;
		bool last;

		while (end < n && p[end] != '/')
			end++;
		len = end - in - 1;
		last = end == n;
		if (len <= 2 && len > 0 && p[in + 1] == '.' && (len == 1 || p[in + 2] == '.')) {
			if (len == 2) {
				while (out > 0 && p[--out] != '/')
					;
			}
			if (last)
				p[out++] = '/';
		} else {
			memmove(p + out, p + in, end - in);
			out += end - in;
		}
		in = end;
	}
	return out;
}

static bool
is_normal(struct str path)
{
	for (size_t i = 0; i < path.n; i++) {
		char c = path.p[i];

		if (c == '%' || c == '\\' || must_escape((unsigned char)c) ||
		    (c == '.' && i > 0 && path.p[i - 1] == '/'))
			return false;
	}
	return true;
}

/* *path becomes its first `done` bytes of head, and everything behind its path part. */
static void
put_together(struct arena *a, struct str *path, const char *head, size_t done, size_t old)
{
	char *p = arena_alloc(a, done + path->n - old + 1);

	memcpy(p, head, done);
	memcpy(p + done, path->p + old, path->n - old);
	*path = str_make(p, done + path->n - old);
}

bool
path_normalize(struct arena *a, struct str *path)
{
	struct str only = path_only(*path);
	ssize_t n;
	char *p;

	if (only.n == 0 || only.p[0] != '/')
		return false;
	if (is_normal(only))
		return true;
	p = arena_alloc(a, only.n * 3);
	n = normal_bytes(p, only);
	if (n < 0)
		return false;
	put_together(a, path, p, resolve_dots(p, (size_t)n), only.n);
	return true;
}

void
path_merge_slashes(struct arena *a, struct str *path)
{
	struct str only = path_only(*path);
	size_t n = 0;
	char *p;

	if (memmem(only.p, only.n, "//", 2) == NULL)
		return;
	p = arena_alloc(a, only.n);
	for (size_t i = 0; i < only.n; i++) {
		if (only.p[i] != '/' || i == 0 || only.p[i - 1] != '/')
			p[n++] = only.p[i];
	}
	put_together(a, path, p, n, only.n);
}

bool
path_unescape_slashes(struct arena *a, struct str *path)
{
	struct str only = path_only(*path);
	size_t n = 0;
	char *p;

	if (only.n == 0 || memchr(only.p, '%', only.n) == NULL)
		return false;
	p = arena_alloc(a, only.n);
	for (size_t i = 0; i < only.n; n++) {
		int c = escaped_byte(only.p + i, only.n - i);
		bool slash = c == '/' || c == '\\';

		p[n] = slash ? (char)c : only.p[i];
		i += slash ? 3 : 1;
	}
	if (n == only.n)
		return false;
	put_together(a, path, p, n, only.n);
	return true;
}

enum path_verdict
path_apply(const struct path_options *o, struct arena *a, struct str *path)
{
	enum path_verdict verdict = PATH_OK;

	if (o->escaped != ESCAPED_SLASHES_KEEP && path_unescape_slashes(a, path)) {
		if (o->escaped == ESCAPED_SLASHES_REJECT)
			return PATH_BAD;
		if (o->escaped == ESCAPED_SLASHES_REDIRECT)
			verdict = PATH_REDIRECT;
	}
	if (o->normalize && !path_normalize(a, path))
		return PATH_BAD;
	if (o->merge_slashes)
		path_merge_slashes(a, path);
	return verdict;
}

bool
query_next(struct str *query, struct str *name, struct str *value)
{
	const char *eq;

	do {
		if (!str_cut(query, '&', name))
			return false;
	} while (name->n == 0);
	eq = memchr(name->p, '=', name->n);
	*value = str_make(NULL, 0);
	if (eq) {
		*value = str_make(eq + 1, name->n - (size_t)(eq - name->p) - 1);
		name->n = (size_t)(eq - name->p);
	}
	return true;
}

bool
query_find(struct str query, struct str name, struct str *value)
{
	struct str key;

	while (query_next(&query, &key, value)) {
		if (str_eq(key, name))
			return true;
	}
	return false;
}

struct str
percent_decode(struct arena *a, struct str s)
{
	size_t n = 0;
	char *p;

	if (s.n == 0 || memchr(s.p, '%', s.n) == NULL)
		return s;
	p = arena_alloc(a, s.n);
	for (size_t i = 0; i < s.n; n++) {
		int c = escaped_byte(s.p + i, s.n - i);

		p[n] = c >= 0 ? (char)c : s.p[i];
		i += c >= 0 ? 3 : 1;
	}
	return str_make(p, n);
}
