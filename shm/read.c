#include "shm/read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "shm/hosts.h"
#include "shm/image.h"
#include "shm/paths.h"
#include "shm/segment.h"
#include "shm/sum.h"
#include "shm/totals.h"

#define MOST_GENERATIONS 4096u
#define MOST_TRIES 50

enum reader_phase {
	READ_TOTALS,
	READ_OPEN,
	READ_SUM,
	READ_SORT,
	READ_DONE,
};

struct source {
	uint64_t generation;
	int fd;
	bool own_fd;
	struct image *image;
};

struct stat_reader {
	struct stat_query query;
	char *base_path; /* NULL: one segment by descriptor */
	int base_fd;
	enum reader_phase phase;
	unsigned tries;
	struct totals totals;
	VEC(struct source) sources;
	size_t at;	     /* source being read */
	struct summing *sum; /* of that source */
	struct stat_set *set;
};

struct stat_reader *
stat_reader_new(const char *base_path, const struct stat_query *q)
{
	struct stat_reader *r = mem_new(struct stat_reader);

	r->query = *q;
	r->base_path = mem_strdup(base_path);
	r->base_fd = -1;
	return r;
}

static void
forget(struct stat_reader *r)
{
	summing_free(&r->sum);
	for (size_t i = 0; i < r->sources.len; i++) {
		image_free(&r->sources.at[i].image);
		if (r->sources.at[i].own_fd)
			close(r->sources.at[i].fd);
	}
	r->sources.len = 0;
	r->at = 0;
	totals_fini(&r->totals);
	stat_set_free(&r->set);
	if (r->base_fd >= 0)
		close(r->base_fd);
	r->base_fd = -1;
}

void
stat_reader_free(struct stat_reader **rp)
{
	struct stat_reader *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	forget(r);
	vec_fini(&r->sources);
	mem_free(r->base_path);
	mem_free(r);
}

struct stat_set *
stat_reader_take(struct stat_reader *r)
{
	struct stat_set *set = r->set;

	ASSERT(r->phase == READ_DONE);
	r->set = NULL;
	return set;
}

/* ---- what there is */

static bool
wanted(void *ctx, struct str name, bool hidden)
{
	const struct stat_query *q = ctx;

	return hidden == q->hosts && (q->match == NULL || q->match(q->ctx, name));
}

static void
add_source(struct stat_reader *r, const char *dir_name, uint64_t generation)
{
	struct strb path = {0};
	struct source *s;
	int fd;

	strb_printf(&path, "%s/" PATH_SEGMENT, dir_name);
	fd = openat(r->base_fd, strb_z(&path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	strb_fini(&path);
	if (fd < 0)
		return; /* folded just now, or a start that never got so far */
	if (segment_is_unfinished(fd)) { /* its master is just starting */
		close(fd);
		return;
	}
	s = vec_push(&r->sources);
	s->generation = generation;
	s->fd = fd;
	s->own_fd = true;
}

static int
by_generation(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	return (x->generation > y->generation) - (x->generation < y->generation);
}

static int
list_generations(struct stat_reader *r, struct err *err)
{
	int fd = openat(r->base_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	uint64_t generation;

	if (dir == NULL)
		return err_sys(err, "cannot list '%s'", r->base_path);
	while ((e = readdir(dir)) != NULL && r->sources.len < MOST_GENERATIONS) {
		if (!path_parse_generation(e->d_name, &generation))
			continue;
		if (!r->query.one_generation || generation == r->query.generation)
			add_source(r, e->d_name, generation);
	}
	closedir(dir);
	if (r->sources.len)
		qsort(r->sources.at, r->sources.len, sizeof(*r->sources.at), by_generation);
	return 0;
}

static int
begin(struct stat_reader *r, struct err *err)
{
	r->set = stat_set_new();
	r->phase = READ_OPEN;
	if (r->base_path == NULL)
		return 0;
	r->base_fd = open(r->base_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->base_fd < 0)
		return err_sys(err, "%scannot open '%s'",
		    errno == ENOENT ? "no baton ran here: " : "", r->base_path);
	if (totals_load(&r->totals, r->base_fd, r->query.one_generation ? NULL : r->set, wanted,
		&r->query, err) < 0 ||
	    list_generations(r, err) < 0)
		return -1;
	if (r->sources.len == 0 && !r->totals.exists)
		return err_set(err, "no baton ran here: '%s' holds no generation", r->base_path);
	return 0;
}

static void
drop_source(struct stat_reader *r, size_t i)
{
	image_free(&r->sources.at[i].image);
	if (r->sources.at[i].own_fd)
		close(r->sources.at[i].fd);
	vec_remove(&r->sources, i);
}

static int
open_images(struct stat_reader *r, struct err *err)
{
	for (size_t i = 0; i < r->sources.len;) {
		struct source *s = &r->sources.at[i];

		if (image_open(&s->image, s->fd, err) < 0)
			return err_in(err, "generation %llu", (unsigned long long)s->generation);
		if (r->base_path == NULL)
			s->generation = s->image->h.generation;
		if (totals_list(&r->totals, s->image->h.id))
			drop_source(r, i);
		else
			i++;
	}
	return 0;
}

/* ---- who they are */

static void
describe_seats(struct stat_generation *g, const struct image *img)
{
	for (uint32_t i = 0; i < img->h.seats; i++) {
		struct seg_seat seat = image_seat(img, i);
		struct stat_seat *s;

		if (seat.owners == 0)
			continue;
		s = vec_push(&g->seats);
		*s = (struct stat_seat){
		    .seat = i,
		    .role = seat.role,
		    .index = seat.index,
		    .pid = seat.pid,
		    .taken = seat.state == SEAT_TAKEN || seat.state == SEAT_TAKING,
		    .alive = image_seat_alive(img, &seat),
		    .owners = seat.owners,
		    .beat = image_beat(img, i),
		    .taken_wall_ns = seat.taken_wall_ns,
		};
		g->alive |= s->alive;
		g->bytes += img->h.lane_end;
	}
}

static void
describe_generations(struct stat_reader *r)
{
	size_t serving = r->sources.len;

	for (size_t i = 0; i < r->sources.len; i++) {
		const struct image *img = r->sources.at[i].image;
		struct stat_generation *g = vec_push(&r->set->generations);

		g->generation = r->sources.at[i].generation;
		g->id = img->h.id;
		g->created_wall_ns = img->h.created_wall_ns;
		memcpy(g->version, img->h.version, sizeof(g->version));
		g->flags = img->flags;
		g->bytes = img->h.dir_off + img->h.dir_end + img->h.shared_end;
		describe_seats(g, img);
		if (!img->flags.draining || serving == r->sources.len)
			serving = i;
	}
	if (serving < r->sources.len)
		r->set->generations.at[serving].serving = true;
}

static struct str
slot_text(struct stat_set *set, const char *p, size_t room)
{
	return arena_str(&set->arena, str_make(p, strnlen(p, room)));
}

static void
read_failures(struct stat_reader *r, const struct source *s)
{
	uint32_t slots = s->image->h.failure_slots;
	struct seg_failure f;

	for (uint32_t i = 0; i < slots && i < 65536; i++) {
		struct stat_failure *out;

		if (image_failure(s->image, i, &f) < 0)
			continue;
		out = vec_push(&r->set->failures);
		out->generation = s->generation;
		out->number = f.seq / 2 - 1;
		out->wall_ns = f.wall_ns;
		out->kind = f.kind < FAILURE_KINDS ? (enum failure_kind)f.kind : FAILURE_REQUEST;
		out->status = f.status;
		out->flags = slot_text(r->set, f.flags, sizeof(f.flags));
		out->route = slot_text(r->set, f.route, sizeof(f.route));
		out->cluster = slot_text(r->set, f.cluster, sizeof(f.cluster));
		out->host = slot_text(r->set, f.host, sizeof(f.host));
		out->details = slot_text(r->set, f.details, sizeof(f.details));
	}
}

static int
newest_first(const void *a, const void *b)
{
	const struct stat_failure *x = a, *y = b;

	if (x->wall_ns != y->wall_ns)
		return x->wall_ns < y->wall_ns ? 1 : -1;
	return (x->number < y->number) - (x->number > y->number);
}

/* ---- steps */

static int
step_open(struct stat_reader *r, struct err *err)
{
	if (open_images(r, err) < 0)
		return -1;
	describe_generations(r);
	for (size_t i = 0; r->query.failures && i < r->sources.len; i++)
		read_failures(r, &r->sources.at[i]);
	if (r->set->failures.len)
		qsort(r->set->failures.at, r->set->failures.len, sizeof(*r->set->failures.at),
		    newest_first);
	r->phase = READ_SUM;
	return 1;
}

static int
finish(struct stat_reader *r)
{
	if (r->base_path && totals_changed(&r->totals, r->base_fd) && r->tries++ < MOST_TRIES) {
		forget(r);
		r->phase = READ_TOTALS;
		return 1;
	}
	r->phase = READ_SORT;
	return 1;
}

static int
step_sum(struct stat_reader *r, struct err *err)
{
	int rc;

	if (r->at == r->sources.len)
		return finish(r);
	if (r->sum == NULL)
		r->sum = summing_new(r->sources.at[r->at].image, r->set,
		    &r->set->generations.at[r->at], &r->query);
	rc = summing_step(r->sum, err);
	if (rc < 0)
		return err_in(
		    err, "generation %llu", (unsigned long long)r->sources.at[r->at].generation);
	if (rc == 0) {
		summing_free(&r->sum);
		r->at++;
	}
	return 1;
}

int
stat_reader_step(struct stat_reader *r, struct err *err)
{
	switch (r->phase) {
	case READ_TOTALS:
		return begin(r, err) < 0 ? -1 : 1;
	case READ_OPEN:
		return step_open(r, err);
	case READ_SUM:
		return step_sum(r, err);
	case READ_SORT:
		if (stat_set_sort_step(r->set))
			return 1;
		r->phase = READ_DONE;
		return 0;
	case READ_DONE:
		break;
	}
	return 0;
}

static int
run(struct stat_reader *r, struct stat_set **out, struct err *err)
{
	int rc;

	while ((rc = stat_reader_step(r, err)) > 0)
		;
	if (rc == 0)
		*out = stat_reader_take(r);
	stat_reader_free(&r);
	return rc;
}

int
stat_read(struct stat_set **out, const char *base_path, const struct stat_query *q, struct err *err)
{
	return run(stat_reader_new(base_path, q), out, err);
}

int
stat_read_fd(struct stat_set **out, int fd, const struct stat_query *q, struct err *err)
{
	struct stat_reader *r = stat_reader_new(NULL, q);

	vec_push(&r->sources)->fd = fd;
	return run(r, out, err);
}
