#include "shm/totals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <limits.h>

#include "lib/base/mem.h"
#include "shm/paths.h"

#define MOST_BYTES (1ll << 30)

void
totals_fini(struct totals *t)
{
	vec_fini(&t->folded);
	*t = (struct totals){0};
}

bool
totals_list(const struct totals *t, uint64_t id)
{
	for (size_t i = 0; i < t->folded.len; i++)
		if (t->folded.at[i] == id)
			return true;
	return false;
}

/* ---- reading */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
parse_hex(struct str s, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (hex_digit(s.p[i]) < 0)
			return false;
		*out = *out << 4 | (uint64_t)hex_digit(s.p[i]);
	}
	return s.n > 0 && s.n <= 16;
}

static bool
unescape(struct str s, struct strb *out)
{
	strb_reset(out);
	for (size_t i = 0; i < s.n; i++) {
		int hi, lo;

		if (s.p[i] != '%') {
			strb_addc(out, s.p[i]);
			continue;
		}
		if (s.n - i < 3)
			return false;
		hi = hex_digit(s.p[i + 1]);
		lo = hex_digit(s.p[i + 2]);
		if (hi < 0 || lo < 0)
			return false;
		strb_addc(out, (char)(hi * 16 + lo));
		i += 2;
	}
	return out->n > 0;
}

static bool
parse_bins(struct str list, struct histogram *h)
{
	struct str part, id;
	uint64_t n, count;

	while (list.n && str_cut(&list, ',', &part)) {
		if (!str_cut(&part, ':', &id) || !str_u64(id, &n) || n >= BIN_IDS ||
		    !str_u64(part, &count))
			return false;
		if (h)
			histogram_add(h, (uint16_t)n, count);
	}
	return true;
}

struct totals_parser {
	struct totals *totals;
	struct str text; /* what is left of it */
	struct stat_set *set;
	bool (*keep)(void *ctx, struct str name, bool hidden);
	void *ctx;
	struct strb name;
	uint64_t rows;
	bool begun;
};

/* One more row of the set, NULL when it is not wanted. */
static struct stat_row *
add_row(struct totals_parser *p, enum stat_kind kind, bool hidden, uint64_t unit, struct str help)
{
	struct stat_row like = {.name = strb_str(&p->name),
	    .kind = (uint8_t)kind,
	    .unit = (uint8_t)unit,
	    .used = true,
	    .hidden = hidden};

	if (p->set == NULL || (p->keep && !p->keep(p->ctx, like.name, hidden)))
		return NULL;
	like.help = arena_dup(&p->set->arena, help.p, help.n);
	return stat_set_add(p->set, STR(""), &like);
}

/* C|c|H|h <unit> <name> <value> [<bins>] TAB <help> */
static bool
parse_row(struct totals_parser *p, char letter, struct str rest)
{
	bool histogram = letter == 'H' || letter == 'h', hidden = letter == 'c' || letter == 'h';
	struct str fields, unit, name, value;
	struct stat_row *row;
	uint64_t u, v;

	if (!str_cut(&rest, '\t', &fields) || !str_cut(&fields, ' ', &unit) || !str_u64(unit, &u) ||
	    u >= STAT_UNITS || !str_cut(&fields, ' ', &name) || !unescape(name, &p->name) ||
	    !str_cut(&fields, ' ', &value) || !str_u64(value, &v))
		return false;
	row = add_row(
	    p, histogram ? STAT_HISTOGRAM : STAT_COUNTER, hidden, u, rest.p ? rest : STR(""));
	p->rows++;
	if (histogram) {
		if (!parse_bins(fields, row ? row->histogram : NULL))
			return false;
		if (row)
			row->histogram->sum = v;
	} else if (row) {
		row->counter = v;
	}
	return true;
}

/* False on junk; *end says that this was the last line. */
static bool
parse_line(struct totals_parser *p, struct str line, bool *end)
{
	struct str word;
	uint64_t v;

	if (!str_cut(&line, ' ', &word) || line.p == NULL)
		return false;
	if (str_eqz(word, "folded")) {
		if (!parse_hex(line, &v))
			return false;
		*vec_push(&p->totals->folded) = v;
		return true;
	}
	if (str_eqz(word, "end")) {
		*end = true;
		return str_u64(line, &v) && v == p->rows;
	}
	return word.n == 1 && strchr("CcHh", word.p[0]) && parse_row(p, word.p[0], line);
}

struct totals_parser *
totals_parser_new(struct totals *out, struct str text, struct stat_set *set,
    bool (*keep)(void *ctx, struct str name, bool hidden), void *ctx)
{
	struct totals_parser *p = mem_new(struct totals_parser);

	*p = (struct totals_parser){
	    .totals = out, .text = text, .set = set, .keep = keep, .ctx = ctx};
	return p;
}

int
totals_parser_step(struct totals_parser *p, unsigned lines, struct err *err)
{
	struct str line;
	bool end = false, good = true;

	if (!p->begun)
		good = str_cut(&p->text, '\n', &line) && str_eqz(line, TOTALS_HEAD);
	p->begun = true;
	for (; good && !end && lines; lines--)
		good = p->text.n && str_cut(&p->text, '\n', &line) && p->text.p &&
		       parse_line(p, line, &end);
	if (!good || (end && p->text.n))
		return err_set(err, "the totals are damaged");
	return !end;
}

void
totals_parser_free(struct totals_parser **pp)
{
	if (*pp)
		strb_fini(&(*pp)->name);
	MEM_CLEAR(*pp);
}

int
totals_parse(struct totals *out, struct str text, struct stat_set *set,
    bool (*keep)(void *ctx, struct str name, bool hidden), void *ctx, struct err *err)
{
	struct totals_parser *p = totals_parser_new(out, text, set, keep, ctx);
	int more;

	while ((more = totals_parser_step(p, UINT_MAX, err)) > 0)
		;
	totals_parser_free(&p);
	return more;
}

static int
slurp(int fd, uint64_t size, struct strb *out, struct err *err)
{
	while (out->n < size) {
		ssize_t n;

		strb_reserve(out, size - out->n);
		n = read(fd, out->p + out->n, size - out->n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read the totals");
		if (n == 0)
			break;
		out->n += (size_t)n;
	}
	return 0;
}

int
totals_read(struct totals *out, int dirfd, struct strb *text, struct err *err)
{
	int fd = openat(dirfd, PATH_TOTALS, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int rc;

	*out = (struct totals){0};
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "cannot open the totals");
	out->exists = true;
	if (fstat(fd, &out->at) < 0 || !S_ISREG(out->at.st_mode) || out->at.st_size > MOST_BYTES) {
		close(fd);
		return err_set(err, "the totals are damaged");
	}
	rc = slurp(fd, (uint64_t)out->at.st_size, text, err);
	close(fd);
	return rc;
}

int
totals_load(struct totals *out, int dirfd, struct stat_set *set,
    bool (*keep)(void *ctx, struct str name, bool hidden), void *ctx, struct err *err)
{
	struct strb text = {0};
	int rc = totals_read(out, dirfd, &text, err);

	if (rc == 0 && out->exists)
		rc = totals_parse(out, strb_str(&text), set, keep, ctx, err);
	strb_fini(&text);
	return rc;
}

bool
totals_changed(const struct totals *t, int dirfd)
{
	struct stat now;

	if (fstatat(dirfd, PATH_TOTALS, &now, 0) < 0)
		return t->exists;
	return !t->exists || now.st_ino != t->at.st_ino || now.st_size != t->at.st_size ||
	       now.st_ctim.tv_sec != t->at.st_ctim.tv_sec ||
	       now.st_ctim.tv_nsec != t->at.st_ctim.tv_nsec;
}
