#include "shm/totals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <dirent.h>
#include <limits.h>

#include "shm/failures.h"
#include "shm/image.h"
#include "shm/paths.h"
#include "shm/sum.h"

#define HEAD "baton totals 1"
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

static void
escape(struct str s, struct strb *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c > ' ' && c != '%' && c != 127) {
			strb_addc(out, (char)c);
			continue;
		}
		strb_addc(out, '%');
		strb_addc(out, digits[c >> 4]);
		strb_addc(out, digits[c & 15]);
	}
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

struct parser {
	struct totals *totals;
	struct stat_set *set;
	bool (*keep)(void *ctx, struct str name, bool hidden);
	void *ctx;
	struct strb name;
	uint64_t rows;
};

static struct stat_row *
row_for(struct parser *p, enum stat_kind kind, bool hidden, uint64_t unit, struct str help)
{
	struct str name = strb_str(&p->name);
	struct stat_row *row;

	if (p->set == NULL || (p->keep && !p->keep(p->ctx, name, hidden)))
		return NULL;
	row = stat_set_row(p->set, name, kind);
	if (row->kind != kind)
		return NULL;
	row->unit = (enum stat_unit)unit;
	row->hidden = hidden;
	if (row->help[0] == '\0')
		row->help = arena_dup(&p->set->arena, help.p, help.n);
	return row;
}

/* C|c|H|h <unit> <name> <value> [<bins>] TAB <help> */
static bool
parse_row(struct parser *p, char letter, struct str rest)
{
	bool histogram = letter == 'H' || letter == 'h', hidden = letter == 'c' || letter == 'h';
	struct str fields, unit, name, value;
	struct stat_row *row;
	uint64_t u, v;

	if (!str_cut(&rest, '\t', &fields) || !str_cut(&fields, ' ', &unit) || !str_u64(unit, &u) ||
	    u >= STAT_UNITS || !str_cut(&fields, ' ', &name) || !unescape(name, &p->name) ||
	    !str_cut(&fields, ' ', &value) || !str_u64(value, &v))
		return false;
	row = row_for(
	    p, histogram ? STAT_HISTOGRAM : STAT_COUNTER, hidden, u, rest.p ? rest : STR(""));
	p->rows++;
	if (histogram) {
		if (!parse_bins(fields, row ? row->histogram : NULL))
			return false;
		if (row)
			row->histogram->sum += v;
	} else if (row) {
		row->counter += v;
	}
	if (row)
		row->used = true;
	return true;
}

/* False on junk; *end says that this was the last line. */
static bool
parse_line(struct parser *p, struct str line, bool *end)
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

int
totals_parse(struct totals *out, struct str text, struct stat_set *set,
    bool (*keep)(void *ctx, struct str name, bool hidden), void *ctx, struct err *err)
{
	struct parser p = {.totals = out, .set = set, .keep = keep, .ctx = ctx};
	struct str line;
	bool end = false, good;

	good = str_cut(&text, '\n', &line) && str_eqz(line, HEAD);
	while (good && !end)
		good =
		    text.n && str_cut(&text, '\n', &line) && text.p && parse_line(&p, line, &end);
	strb_fini(&p.name);
	return good && text.n == 0 ? 0 : err_set(err, "the totals are damaged");
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
totals_load(struct totals *out, int dirfd, struct stat_set *set,
    bool (*keep)(void *ctx, struct str name, bool hidden), void *ctx, struct err *err)
{
	int fd = openat(dirfd, PATH_TOTALS, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct strb text = {0};
	int rc;

	*out = (struct totals){0};
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "cannot open the totals");
	out->exists = true;
	if (fstat(fd, &out->at) < 0 || !S_ISREG(out->at.st_mode) || out->at.st_size > MOST_BYTES) {
		close(fd);
		return err_set(err, "the totals are damaged");
	}
	rc = slurp(fd, (uint64_t)out->at.st_size, &text, err);
	close(fd);
	if (rc == 0)
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

/* ---- folding */

static void
write_row(struct strb *out, const struct stat_row *row)
{
	bool histogram = row->kind == STAT_HISTOGRAM;
	char letter = histogram ? 'H' : 'C';

	strb_printf(out, "%c %d ", row->hidden ? ch_lower(letter) : letter, (int)row->unit);
	escape(row->name, out);
	strb_addc(out, ' ');
	strb_addu(out, histogram ? row->histogram->sum : row->counter);
	for (uint32_t i = 0; histogram && i < row->histogram->len; i++)
		strb_printf(out, "%c%u:%llu", i ? ',' : ' ', row->histogram->bin[i].id,
		    (unsigned long long)row->histogram->bin[i].count);
	strb_addc(out, '\t');
	strb_addz(out, row->help);
	strb_addc(out, '\n');
}

static bool
is_total(const struct stat_row *row)
{
	return row->used && (row->kind == STAT_COUNTER || row->kind == STAT_HISTOGRAM);
}

static void
write_totals(struct strb *out, const struct totals *t, const struct stat_set *set)
{
	size_t rows = 0;

	strb_addz(out, HEAD "\n");
	for (size_t i = 0; i < t->folded.len; i++)
		strb_printf(out, "folded %016llx\n", (unsigned long long)t->folded.at[i]);
	for (size_t i = 0; i < set->rows.len; i++) {
		if (!is_total(set->rows.at[i]))
			continue;
		write_row(out, set->rows.at[i]);
		rows++;
	}
	strb_printf(out, "end %zu\n", rows);
}

static int
write_all(int fd, struct str s, struct err *err)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot write the totals");
		s.p += n;
		s.n -= (size_t)n;
	}
	return 0;
}

static int
replace_file(int dirfd, struct str text, struct err *err)
{
	static const char temp[] = PATH_TOTALS ".new";
	int fd, rc;

	unlinkat(dirfd, temp, 0);
	fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, "cannot create the totals");
	rc = write_all(fd, text, err);
	if (close(fd) < 0 && rc == 0)
		rc = err_sys(err, "cannot write the totals");
	if (rc == 0 && renameat(dirfd, temp, dirfd, PATH_TOTALS) < 0)
		rc = err_sys(err, "cannot replace the totals");
	if (rc < 0)
		unlinkat(dirfd, temp, 0);
	return rc;
}

static void
segment_path(struct strb *out, uint64_t generation)
{
	path_generation(out, generation);
	strb_addz(out, "/" PATH_SEGMENT);
}

/* The link, and what it names when the segment lies elsewhere. */
static int
unlink_segment(int dirfd, const char *path, struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dirfd, path, target, sizeof(target) - 1);

	if (n > 0) {
		target[n] = '\0';
		unlinkat(dirfd, target, 0);
	}
	if (unlinkat(dirfd, path, 0) < 0)
		return err_sys(err, "cannot remove '%s'", path);
	return 0;
}

static int
check_dead(const struct image *img, struct err *err)
{
	for (uint32_t i = 0; i < img->h.seats; i++) {
		struct seg_seat seat = image_seat(img, i);

		if (seat.owners && image_seat_alive(img, &seat))
			return err_set(err, "process %d still lives", seat.pid);
	}
	return 0;
}

/* Everything of the segment, hosts too. */
static int
add_segment(const struct image *img, struct stat_set *set, struct err *err)
{
	for (int hosts = 0; hosts < 2; hosts++) {
		struct stat_query q = {.hosts = hosts};
		struct summing *s = summing_new(img, set, false, &q);
		int rc;

		while ((rc = summing_step(s, err)) > 0)
			;
		summing_free(&s);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* Ids whose segment is gone for good need no listing: forget them. */
static void
keep_living_ids(struct totals *t, int dirfd)
{
	VEC(uint64_t) kept = {0};
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (dir == NULL)
		return;
	while ((e = readdir(dir)) != NULL) {
		struct seg_header h;
		struct strb path = {0};
		uint64_t generation;
		int sfd;

		if (!path_parse_generation(e->d_name, &generation))
			continue;
		segment_path(&path, generation);
		sfd = openat(dirfd, strb_z(&path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		strb_fini(&path);
		if (sfd < 0)
			continue;
		if (pread(sfd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) && totals_list(t, h.id))
			*vec_push(&kept) = h.id;
		close(sfd);
	}
	closedir(dir);
	t->folded.len = 0;
	for (size_t i = 0; i < kept.len; i++)
		*vec_push(&t->folded) = kept.at[i];
	vec_fini(&kept);
}

static int
fold_image(int dirfd, const char *path, const struct image *img, struct err *err)
{
	struct stat_set *set = stat_set_new();
	struct strb text = {0};
	struct totals t;
	int rc = check_dead(img, err);

	if (rc == 0)
		rc = totals_load(&t, dirfd, set, NULL, NULL, err);
	else
		t = (struct totals){0};
	if (rc == 0 && !totals_list(&t, img->h.id)) {
		rc = add_segment(img, set, err);
		*vec_push(&t.folded) = img->h.id;
		keep_living_ids(&t, dirfd);
		write_totals(&text, &t, set);
		if (rc == 0)
			rc = replace_file(dirfd, strb_str(&text), err);
		if (rc == 0)
			failures_inherit_cuts(img);
	}
	if (rc == 0)
		rc = unlink_segment(dirfd, path, err);
	strb_fini(&text);
	totals_fini(&t);
	stat_set_free(&set);
	return rc;
}

int
totals_fold(int dirfd, uint64_t generation, struct err *err)
{
	struct strb path = {0};
	struct image *img;
	int fd, rc;

	segment_path(&path, generation);
	fd = openat(dirfd, strb_z(&path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		rc = err_sys(err, "cannot open '%s'", strb_z(&path));
	} else {
		rc = image_open(&img, fd, err);
		if (rc == 0) {
			rc = fold_image(dirfd, strb_z(&path), img, err);
			image_free(&img);
		}
		close(fd);
	}
	if (rc < 0)
		err_in(err, "folding generation %llu", (unsigned long long)generation);
	strb_fini(&path);
	return rc;
}
