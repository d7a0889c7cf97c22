#include "shm/fold.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "shm/failures.h"
#include "shm/image.h"
#include "shm/paths.h"
#include "shm/segment.h"
#include "shm/sum.h"
#include "shm/totals.h"

#define NEW_TOTALS PATH_TOTALS ".new"
#define STEP_LINES 1000u       /* parsed or written at a time */
#define STEP_BYTES (256u << 10) /* given to the file at a time */

struct folding {
	int dirfd; /* borrowed */
	int segment_fd, new_fd;
	struct strb path; /* of the segment */
	struct image *image;
	struct totals totals;
	struct strb old_text, new_text;
	struct totals_parser *parser;
	struct stat_set *set;
	struct stat_query query;
	struct summing *summing;
	size_t row, rows, written;
	int (*stage)(struct folding *f, struct err *err); /* 1 again, 0 the next one, -1 */
	bool done;
};

/* ---- lines */

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

/* ---- the segment */

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

/* ---- stages, the last first */

static int
commit(struct folding *f, struct err *err)
{
	bool was_listed = f->new_text.n == 0;

	if (was_listed)
		unlinkat(f->dirfd, NEW_TOTALS, 0);
	else if (renameat(f->dirfd, NEW_TOTALS, f->dirfd, PATH_TOTALS) < 0)
		return err_sys(err, "cannot replace the totals");
	else
		failures_inherit_cuts(f->image);
	close(f->new_fd);
	f->new_fd = -1;
	f->done = true;
	return unlink_segment(f->dirfd, strb_z(&f->path), err);
}

static int
write_some(struct folding *f, struct err *err)
{
	size_t left = f->new_text.n - f->written;
	ssize_t n;

	if (left == 0) {
		f->stage = commit;
		return 0;
	}
	n = write(f->new_fd, f->new_text.p + f->written, left < STEP_BYTES ? left : STEP_BYTES);
	if (n < 0 && errno != EINTR)
		return err_sys(err, "cannot write the totals");
	f->written += n > 0 ? (size_t)n : 0;
	return 1;
}

static int
print_some(struct folding *f, struct err *err)
{
	size_t until = f->row + STEP_LINES;

	for (; f->row < f->set->rows.len && f->row < until; f->row++) {
		if (!is_total(f->set->rows.at[f->row]))
			continue;
		write_row(&f->new_text, f->set->rows.at[f->row]);
		f->rows++;
	}
	if (f->row < f->set->rows.len)
		return 1;
	strb_printf(&f->new_text, "end %zu\n", f->rows);
	f->stage = write_some;
	return 0;
}

static int
print_head(struct folding *f, struct err *err)
{
	*vec_push(&f->totals.folded) = f->image->h.id;
	keep_living_ids(&f->totals, f->dirfd);
	strb_addz(&f->new_text, TOTALS_HEAD "\n");
	for (size_t i = 0; i < f->totals.folded.len; i++)
		strb_printf(&f->new_text, "folded %016llx\n",
		    (unsigned long long)f->totals.folded.at[i]);
	f->stage = print_some;
	return 0;
}

/* What the old totals and the segment count under one name is one number from here on. */
static int
sort_some(struct folding *f, struct err *err)
{
	if (stat_set_sort_step(f->set))
		return 1;
	f->stage = print_head;
	return 0;
}

/* Everything of the segment, hosts last. */
static int
sum_some(struct folding *f, struct err *err)
{
	int more;

	if (f->summing == NULL)
		f->summing = summing_new(f->image, f->set, NULL, &f->query);
	more = summing_step(f->summing, err);
	if (more)
		return more;
	summing_free(&f->summing);
	if (f->query.hosts)
		f->stage = sort_some;
	f->query.hosts = true;
	return 0;
}

static int
parse_some(struct folding *f, struct err *err)
{
	int more;

	if (f->parser == NULL)
		f->parser =
		    totals_parser_new(&f->totals, strb_str(&f->old_text), f->set, NULL, NULL);
	more = totals_parser_step(f->parser, STEP_LINES, err);
	if (more == 0)
		f->stage = totals_list(&f->totals, f->image->h.id) ? commit : sum_some;
	return more;
}

static int
read_old(struct folding *f, struct err *err)
{
	if (totals_read(&f->totals, f->dirfd, &f->old_text, err) < 0)
		return -1;
	f->stage = f->totals.exists ? parse_some : sum_some;
	return 0;
}

/* ---- life */

/* A file that was renamed meanwhile is no lock any more. */
static int
take_lock(struct folding *f, struct err *err)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat ours, named;

	f->new_fd = openat(f->dirfd, NEW_TOTALS, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->new_fd < 0)
		return err_sys(err, "cannot create the totals");
	if (fcntl(f->new_fd, F_SETLK, &l) < 0)
		return err_set(err, "somebody else is at it");
	if (fstat(f->new_fd, &ours) < 0 || fstatat(f->dirfd, NEW_TOTALS, &named, 0) < 0 ||
	    ours.st_ino != named.st_ino)
		return err_set(err, "somebody else was at it");
	return ftruncate(f->new_fd, 0) < 0 ? err_sys(err, "cannot write the totals") : 0;
}

static int
open_all(struct folding *f, struct err *err)
{
	f->segment_fd = openat(f->dirfd, strb_z(&f->path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->segment_fd < 0)
		return err_sys(err, "cannot open '%s'", strb_z(&f->path));
	if (image_open(&f->image, f->segment_fd, err) < 0 || check_dead(f->image, err) < 0)
		return -1;
	return take_lock(f, err);
}

struct folding *
folding_new(int dirfd, uint64_t generation, struct err *err)
{
	struct folding *f = mem_new(struct folding);

	*f = (struct folding){.dirfd = dirfd,
	    .segment_fd = -1,
	    .new_fd = -1,
	    .set = stat_set_new(),
	    .stage = read_old};
	segment_path(&f->path, generation);
	if (open_all(f, err) == 0)
		return f;
	err_in(err, "folding generation %llu", (unsigned long long)generation);
	folding_free(&f);
	return NULL;
}

int
folding_step(struct folding *f, struct err *err)
{
	int more = f->stage(f, err);

	if (more < 0)
		return err_in(err, "folding '%s'", strb_z(&f->path));
	return more > 0 || !f->done;
}

/* What was not committed is nothing: the next one begins anew in the same file. */
void
folding_free(struct folding **fp)
{
	struct folding *f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	summing_free(&f->summing);
	totals_parser_free(&f->parser);
	totals_fini(&f->totals);
	if (f->image)
		image_free(&f->image);
	stat_set_free(&f->set);
	strb_fini(&f->old_text);
	strb_fini(&f->new_text);
	strb_fini(&f->path);
	if (f->segment_fd >= 0)
		close(f->segment_fd);
	if (f->new_fd >= 0)
		close(f->new_fd);
	mem_free(f);
}

int
totals_fold(int dirfd, uint64_t generation, struct err *err)
{
	struct folding *f = folding_new(dirfd, generation, err);
	int more = f ? 1 : -1;

	while (more > 0)
		more = folding_step(f, err);
	folding_free(&f);
	return more;
}
