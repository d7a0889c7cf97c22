/*
 * Times of access-log lines.  Run by workers; one format is shared by all
 * streams of a snapshot, its kept text belongs to the process.
 */
#include "worker/access_log/start_time.h"

#include <time.h>

#include "lib/base/clock.h"
#include "lib/http/validate.h"

enum part_kind {
	PART_TEXT,     /* strftime */
	PART_SECONDS,  /* since 1970 */
	PART_FRACTION, /* `digits` of the second */
	PART_TRIMMED,  /* as many as say something, with a point in front; none when zero */
};

struct part {
	enum part_kind kind;
	unsigned digits;
	const char *format; /* PART_TEXT */
	struct part *next;
};

struct start_time {
	struct part *parts;
	/* The last second's text of every PART_TEXT together would need positions: each keeps its
	 * own in `kept`, all of the same second. */
	struct kept *kept;
};

#define KEPT_TEXTS 4
#define KEPT_BYTES 64

struct kept {
	/* The last line's: requests that came in one turn of the loop have the same time. */
	uint64_t wall_ns;
	size_t room; /* that it was written for */
	uint8_t len_all; /* 0: none, or it was too long to be kept */
	char all[KEPT_BYTES];
	uint64_t second;
	uint8_t len[KEPT_TEXTS];
	char text[KEPT_TEXTS][KEPT_BYTES];
};

static struct part *
add_part(struct part ***tail, struct arena *a, enum part_kind kind, unsigned digits)
{
	struct part *p = arena_new(a, struct part);

	p->kind = kind;
	p->digits = digits;
	**tail = p;
	*tail = &p->next;
	return p;
}

static void
flush_text(struct part ***tail, struct arena *a, struct strb *text)
{
	if (text->n == 0)
		return;
	add_part(tail, a, PART_TEXT, 0)->format = arena_dup(a, text->p, text->n);
	strb_reset(text);
}

/* One specifier behind its '%' that strftime lacks; gives its length, 0 when it is strftime's. */
static size_t
own_specifier(struct part ***tail, struct arena *a, struct strb *text, const char *p, size_t n)
{
	if (p[0] == 's') {
		flush_text(tail, a, text);
		add_part(tail, a, PART_SECONDS, 0);
		return 1;
	}
	if (p[0] == 'f' || (n >= 2 && p[0] >= '1' && p[0] <= '9' && p[1] == 'f')) {
		flush_text(tail, a, text);
		add_part(tail, a, PART_FRACTION, p[0] == 'f' ? 9 : (unsigned)(p[0] - '0'));
		return p[0] == 'f' ? 1 : 2;
	}
	if (n < 3 || p[0] != 'E' || p[2] != 'S' || (p[1] != '*' && (p[1] < '0' || p[1] > '9')))
		return 0;
	strb_addz(text, p[1] == '*' || p[1] == '0' ? "%S" : "%S.");
	flush_text(tail, a, text);
	if (p[1] == '*')
		add_part(tail, a, PART_TRIMMED, 9);
	else if (p[1] != '0')
		add_part(tail, a, PART_FRACTION, (unsigned)(p[1] - '0'));
	return 3;
}

const struct start_time *
start_time_compile(struct str format, struct arena *a)
{
	struct start_time *t = arena_new(a, struct start_time);
	struct part **tail = &t->parts;
	struct strb text = {0};

	if (format.n == 0)
		format = STR("%Y-%m-%dT%H:%M:%E3SZ");
	for (size_t i = 0; i < format.n; i++) {
		size_t n = 0;

		if (format.p[i] == '%' && i + 1 < format.n)
			n = own_specifier(&tail, a, &text, format.p + i + 1, format.n - i - 1);
		if (n) {
			i += n;
			continue;
		}
		strb_addc(&text, format.p[i]);
		if (format.p[i] == '%' && i + 1 < format.n)
			strb_addc(&text, format.p[++i]);
	}
	flush_text(&tail, a, &text);
	strb_fini(&text);
	t->kept = arena_new(a, struct kept);
	return t;
}

static void
keep_second(const struct start_time *t, uint64_t second)
{
	time_t clock = (time_t)second;
	unsigned i = 0;
	struct tm tm;

	gmtime_r(&clock, &tm);
	t->kept->second = second;
	for (const struct part *p = t->parts; p && i < KEPT_TEXTS; p = p->next) {
		if (p->kind == PART_TEXT) {
			t->kept->len[i] =
			    (uint8_t)strftime(t->kept->text[i], KEPT_BYTES, p->format, &tm);
			i++;
		}
	}
}

/* The i-th text: kept, or when there are many or it is long made anew. */
static size_t
write_text(const struct start_time *t, const struct part *p, unsigned i, char *out, size_t n)
{
	time_t clock = (time_t)t->kept->second;
	struct tm tm;

	if (i < KEPT_TEXTS && t->kept->len[i] > 0 && t->kept->len[i] <= n) {
		memcpy(out, t->kept->text[i], t->kept->len[i]);
		return t->kept->len[i];
	}
	gmtime_r(&clock, &tm);
	return strftime(out, n, p->format, &tm);
}

/* The first digits, at most 9, of a fraction of a second. */
static size_t
write_fraction(unsigned digits, uint64_t ns, char *out, size_t n)
{
	static const uint32_t unit[] = {
	    1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
	uint32_t v = (uint32_t)ns / unit[digits];

	if (digits > n)
		return 0;
	for (unsigned i = digits; i-- > 0; v /= 10)
		out[i] = (char)('0' + v % 10);
	return digits;
}

static size_t
write_trimmed(uint64_t ns, char *out, size_t n)
{
	size_t len;

	if (ns == 0 || n < 10)
		return 0;
	out[0] = '.';
	len = 1 + write_fraction(9, ns, out + 1, 9);
	while (out[len - 1] == '0')
		len--;
	return len;
}

static __attribute__((noinline)) size_t
write_parts(const struct start_time *t, uint64_t wall_ns, char *out, size_t n)
{
	uint64_t second = wall_ns / NS_PER_S, ns = wall_ns % NS_PER_S;
	size_t done = 0;
	unsigned text = 0;

	if (t->kept->second != second)
		keep_second(t, second);
	for (const struct part *p = t->parts; p; p = p->next) {
		char *at = out + done;
		size_t room = n - done;

		switch (p->kind) {
		case PART_TEXT:
			done += write_text(t, p, text++, at, room);
			break;
		case PART_SECONDS:
			done += room >= 20 ? u64_write(at, second) : 0;
			break;
		case PART_FRACTION:
			done += write_fraction(p->digits, ns, at, room);
			break;
		case PART_TRIMMED:
			done += write_trimmed(ns, at, room);
			break;
		}
	}
	return done;
}

size_t
start_time_write(const struct start_time *t, uint64_t wall_ns, char *out, size_t n)
{
	struct kept *k = t->kept;
	size_t done;

	if (k->len_all && k->wall_ns == wall_ns && k->room == n) {
		memcpy(out, k->all, n < KEPT_BYTES ? k->len_all : KEPT_BYTES); /* mostly a constant */
		return k->len_all;
	}
	done = write_parts(t, wall_ns, out, n);
	value_clean(out, done); /* of the format */
	k->wall_ns = wall_ns;
	k->room = n;
	k->len_all = done <= KEPT_BYTES ? (uint8_t)done : 0;
	memcpy(k->all, out, k->len_all);
	return done;
}
