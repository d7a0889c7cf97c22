/*
 * Who else lives in the runtime directory: generations that serve, that
 * drain, that lost their master, and what dead ones left behind.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "master/runtime_dir_private.h"
#include "shm/fold.h"
#include "shm/image.h"
#include "shm/paths.h"
#include "shm/segment.h"

/* ---- each of them */

/* Calls fn for each g<n>. */
int
runtime_each_generation(struct runtime_dir *r, void (*fn)(struct runtime_dir *, const char *, void *),
    void *arg, struct err *err)
{
	int copy = openat(r->base_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	uint64_t n;

	if (d == NULL) {
		if (copy >= 0)
			close(copy);
		return err_sys(err, "runtime directory %s", strb_z(&r->path));
	}
	while ((e = readdir(d)) != NULL)
		if (path_parse_generation(e->d_name, &n))
			fn(r, e->d_name, arg);
	closedir(d);
	return 0;
}

static unsigned
count_living(int segment_fd)
{
	struct image *img;
	unsigned living = 0;

	if (image_open(&img, segment_fd, NULL) < 0)
		return 0;
	for (uint32_t i = 0; i < img->h.seats; i++) {
		struct seg_seat seat = image_seat(img, i);

		living += image_seat_alive(img, &seat);
	}
	image_free(&img);
	return living;
}

static void
look_closely(struct runtime_other *o, int gen_fd)
{
	int fd = runtime_lock_open(gen_fd, PATH_ALIVE, 0);

	o->master = fd < 0 ? 0 : runtime_lock_holder(fd);
	if (fd >= 0)
		close(fd);
	fd = openat(gen_fd, PATH_SEGMENT, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	o->has_segment = !segment_is_unfinished(fd);
	if (o->master == 0 && o->has_segment)
		o->processes = count_living(fd);
	close(fd);
}

static void
add_other(struct runtime_dir *r, const char *name, void *arg)
{
	struct runtime_others *out = arg;
	struct runtime_other o = {0};
	int fd;

	path_parse_generation(name, &o.generation);
	if (r->gen_fd < 0 && o.generation >= r->generation) /* looking for a number of our own */
		r->generation = o.generation + 1;
	if (r->gen_fd >= 0 && o.generation == r->generation)
		return;
	fd = openat(r->base_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	look_closely(&o, fd);
	close(fd);
	*vec_push(&out->all) = o;
}

void
runtime_dir_others(struct runtime_dir *r, struct runtime_others *out)
{
	struct err err;

	out->all.len = 0;
	if (runtime_each_generation(r, add_other, out, &err) < 0)
		log_warning(LOG_MASTER, "%s", err.text);
}

/* ---- orphans and the dead */

/* By descriptor: the seat is looked at again after it was opened, so nobody else has the pid. */
static void
end_process(const struct image *img, uint32_t seat)
{
	struct seg_seat s = image_seat(img, seat);
	int fd;

	if (!image_seat_alive(img, &s) || (fd = (int)syscall(SYS_pidfd_open, s.pid, 0)) < 0)
		return;
	s = image_seat(img, seat);
	if (image_seat_alive(img, &s))
		syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
	close(fd);
}

static void
end_orphans(struct runtime_dir *r, const char *name, void *arg)
{
	struct runtime_other o = {0};
	struct image *img;
	int gen_fd, fd;

	path_parse_generation(name, &o.generation);
	if (o.generation == r->generation)
		return;
	gen_fd = openat(r->base_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (gen_fd < 0)
		return;
	look_closely(&o, gen_fd);
	fd = o.processes ? openat(gen_fd, PATH_SEGMENT, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0 && image_open(&img, fd, NULL) == 0) {
		for (uint32_t i = 0; i < img->h.seats; i++)
			end_process(img, i);
		image_free(&img);
	}
	if (fd >= 0)
		close(fd);
	close(gen_fd);
}

void
runtime_dir_end_orphans(struct runtime_dir *r)
{
	struct err err;

	if (runtime_each_generation(r, end_orphans, NULL, &err) < 0)
		log_warning(LOG_MASTER, "%s", err.text);
}

/* What a crash left behind: its numbers are kept, so that counting goes on. */
static void
fold(struct runtime_dir *r, const char *name)
{
	struct err err;
	uint64_t n;

	if (!path_parse_generation(name, &n))
		return;
	if (totals_fold(r->base_fd, n, &err) < 0)
		log_warning(LOG_MASTER, "runtime directory %s: numbers of generation %" PRIu64 ": %s",
		    strb_z(&r->path), n, err.text);
	else
		runtime_generation_remove(r, name);
}

void
runtime_fold_dead(struct runtime_dir *r, const struct runtime_others *others)
{
	for (size_t i = 0; i < others->all.len; i++) {
		struct strb name = {0};

		path_generation(&name, others->all.at[i].generation);
		if (others->all.at[i].master == 0 && others->all.at[i].processes == 0) {
			if (others->all.at[i].has_segment)
				fold(r, strb_z(&name));
			else
				runtime_generation_remove(r, strb_z(&name));
		}
		strb_fini(&name);
	}
}

unsigned
runtime_count_orphans(const struct runtime_others *others)
{
	unsigned n = 0;

	for (size_t i = 0; i < others->all.len; i++)
		n += others->all.at[i].master == 0 ? others->all.at[i].processes : 0;
	return n;
}

/* The youngest first: it has the sockets that are in use, and an elder one perhaps the last copy of
 * others. */
void
runtime_note_orphans(struct runtime_dir *r, const struct runtime_others *others)
{
	for (size_t i = 0; i < others->all.len; i++) {
		size_t at = r->left.all.len;

		if (others->all.at[i].processes == 0)
			continue;
		vec_push(&r->left.all);
		for (; at && r->left.all.at[at - 1].generation < others->all.at[i].generation; at--)
			r->left.all.at[at] = r->left.all.at[at - 1];
		r->left.all.at[at] = others->all.at[i];
	}
	r->orphans = r->left.all.len ? r->left.all.at[0].generation : 0;
}

/* ---- the master that serves */

static bool
says_draining(struct runtime_dir *r, uint64_t generation)
{
	struct strb path = {0};
	struct image *img;
	bool draining = false;
	int fd;

	path_generation(&path, generation);
	strb_addz(&path, "/" PATH_SEGMENT);
	fd = openat(r->base_fd, strb_z(&path), O_RDONLY | O_CLOEXEC);
	strb_fini(&path);
	if (fd >= 0 && image_open(&img, fd, NULL) == 0) {
		draining = img->flags.draining != 0;
		image_free(&img);
	}
	if (fd >= 0)
		close(fd);
	return draining;
}

/* Does control.sock mean this one? */
static bool
is_named(struct runtime_dir *r, uint64_t generation)
{
	struct strb path = {0};
	struct stat own, named;
	bool is;

	path_generation(&path, generation);
	strb_addz(&path, "/" PATH_CONTROL);
	is = fstatat(r->base_fd, strb_z(&path), &own, 0) == 0 &&
	     fstatat(r->base_fd, PATH_CONTROL, &named, 0) == 0 && own.st_ino == named.st_ino;
	strb_fini(&path);
	return is;
}

/*
 * The master that serves.  One that drains for another does not count: its heir is dead, and it
 * would have taken over again if it still could.
 */
static int32_t
find_master(struct runtime_dir *r, const struct runtime_others *others)
{
	int32_t found = 0;

	for (size_t i = 0; i < others->all.len; i++) {
		const struct runtime_other *o = &others->all.at[i];

		if (o->master && is_named(r, o->generation))
			return o->master;
		if (o->master && !says_draining(r, o->generation))
			found = o->master;
	}
	return found;
}

static bool
any_master(const struct runtime_others *others)
{
	for (size_t i = 0; i < others->all.len; i++)
		if (others->all.at[i].master)
			return true;
	return false;
}

/* Those that are just dying get a moment for it, and one that takes over again, too. */
int32_t
runtime_find_master(struct runtime_dir *r, struct runtime_others *others)
{
	int32_t master = 0;

	for (int tries = 0; tries < 16; tries++) {
		bool drains;

		if (tries)
			usleep(25000);
		runtime_dir_others(r, others);
		master = find_master(r, others);
		drains = master == 0 && any_master(others);
		if (master || (!drains && (runtime_count_orphans(others) == 0 || tries >= 3)))
			break;
	}
	return master;
}
