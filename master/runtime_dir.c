#include "master/runtime_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "shm/fold.h"
#include "shm/image.h"
#include "shm/paths.h"
#include "shm/segment.h"

#define HINT "choose another with --runtime-dir"
#define TMPFS 0x01021994 /* linux/magic.h */

/* ---- directories */

/* Ours alone, or an error that names it.  `at` may be AT_FDCWD. */
static int
open_own_dir(int at, const char *name, const char *shown, struct err *err)
{
	struct stat st;
	int fd;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "runtime directory %s: cannot make it (" HINT ")", shown);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "runtime directory %s: cannot open it (" HINT ")", shown);
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0 &&
	    (st.st_mode & 0700) == 0700)
		return fd;
	close(fd);
	return err_set(err,
	    "runtime directory %s: belongs to uid %u with mode %03o, it must be ours with mode 700 (" HINT
	    ")",
	    shown, (unsigned)st.st_uid, (unsigned)st.st_mode & 0777);
}

static int
open_base(struct runtime_dir *r, const struct runtime_request *q, struct err *err)
{
	struct strb top = {0};
	char name[16];
	int top_fd;

	path_runtime_dir(&top, q->option);
	top_fd = open_own_dir(AT_FDCWD, strb_z(&top), strb_z(&top), err);
	strb_reset(&r->path);
	path_base(&r->path, q->option, r->base_id);
	strb_fini(&top);
	if (top_fd < 0)
		return -1;
	snprintf(name, sizeof(name), "%u", r->base_id);
	if (q->dynamic && mkdirat(top_fd, name, 0700) < 0) {
		close(top_fd);
		return err_sys(err, "runtime directory %s", strb_z(&r->path));
	}
	r->base_fd = open_own_dir(top_fd, name, strb_z(&r->path), err);
	close(top_fd);
	return r->base_fd < 0 ? -1 : 0;
}

/* ---- locks */

static int
lock_file(int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_SETLK, &l);
}

/* Who holds it; 0: nobody. */
static pid_t
lock_holder(int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_GETLK, &l) < 0 || l.l_type == F_UNLCK ? 0 : l.l_pid;
}

static int
open_lock(int dir, const char *name, int flags)
{
	return openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
}

/* A file that a clean end unlinked meanwhile is no lock any more: 1 means try again. */
static int
take_start_lock(struct runtime_dir *r, struct err *err)
{
	struct stat st;

	r->lock_fd = open_lock(r->base_fd, PATH_LOCK, O_CREAT);
	if (r->lock_fd < 0 && errno == ENOENT)
		return 1;
	if (r->lock_fd < 0)
		return err_sys(err, "runtime directory %s: " PATH_LOCK " (" HINT ")", strb_z(&r->path));
	if (lock_file(r->lock_fd) < 0)
		return err_set(err,
		    "runtime directory %s: another baton is starting there, pid %d (choose another --base-id)",
		    strb_z(&r->path), (int)lock_holder(r->lock_fd));
	if (fstat(r->lock_fd, &st) == 0 && st.st_nlink == 0) {
		close(r->lock_fd);
		r->lock_fd = -1;
		return 1;
	}
	return 0;
}

/* ---- what lives here already */

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
	int fd = open_lock(gen_fd, PATH_ALIVE, 0);

	o->master = fd < 0 ? 0 : lock_holder(fd);
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

static void remove_generation(struct runtime_dir *r, const char *name);

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
		remove_generation(r, name);
}

/* Calls fn for each g<n>. */
static int
each_generation(struct runtime_dir *r, void (*fn)(struct runtime_dir *, const char *, void *),
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
	if (each_generation(r, add_other, out, &err) < 0)
		log_warning(LOG_MASTER, "%s", err.text);
}

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

	if (each_generation(r, end_orphans, NULL, &err) < 0)
		log_warning(LOG_MASTER, "%s", err.text);
}

static void
fold_dead(struct runtime_dir *r, const struct runtime_others *others)
{
	for (size_t i = 0; i < others->all.len; i++) {
		struct strb name = {0};

		path_generation(&name, others->all.at[i].generation);
		if (others->all.at[i].master == 0 && others->all.at[i].processes == 0) {
			if (others->all.at[i].has_segment)
				fold(r, strb_z(&name));
			else
				remove_generation(r, strb_z(&name));
		}
		strb_fini(&name);
	}
}

static unsigned
count_orphans(const struct runtime_others *others)
{
	unsigned n = 0;

	for (size_t i = 0; i < others->all.len; i++)
		n += others->all.at[i].master == 0 ? others->all.at[i].processes : 0;
	return n;
}

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
static int32_t
look_for_master(struct runtime_dir *r, struct runtime_others *others)
{
	int32_t master = 0;

	for (int tries = 0; tries < 16; tries++) {
		bool drains;

		if (tries)
			usleep(25000);
		runtime_dir_others(r, others);
		master = find_master(r, others);
		drains = master == 0 && any_master(others);
		if (master || (!drains && (count_orphans(others) == 0 || tries >= 3)))
			break;
	}
	return master;
}

/* The youngest first: it has the sockets that are in use, and an elder one perhaps the last copy of
 * others. */
static void
note_orphans(struct runtime_dir *r, const struct runtime_others *others)
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

/* What lives here already decides what this start is. */
static int
look_around(struct runtime_dir *r, const struct runtime_request *q, struct err *err)
{
	struct runtime_others others = {0};
	int32_t master = look_for_master(r, &others);
	unsigned orphans = count_orphans(&others);
	int bad = 0;

	r->has_elder = master && q->start != RUNTIME_PLAIN;
	if (master == 0)
		note_orphans(r, &others);
	if (master && q->start == RUNTIME_PLAIN)
		bad = err_set(err,
		    "base id %u is in use by the baton with pid %d (choose another --base-id, or end it: batonctl stop)",
		    r->base_id, (int)master);
	else if (!master && !orphans && q->start == RUNTIME_TAKE_OVER && !q->alone_is_fine)
		bad = err_set(err,
		    "runtime directory %s: there is no baton to take over from (see --skip-hot-restart-on-no-parent)",
		    strb_z(&r->path));
	else if (!master)
		fold_dead(r, &others);
	vec_fini(&others.all);
	return bad;
}

/* ---- opening */

static void
close_all(struct runtime_dir *r)
{
	int *fds[] = {
	    &r->base_fd, &r->gen_fd, &r->shm_fd, &r->lock_fd, &r->alive_fd, &r->control_fd};

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static int
make_generation(struct runtime_dir *r, struct err *err)
{
	struct strb name = {0};

	path_generation(&name, r->generation);
	r->gen_fd = open_own_dir(r->base_fd, strb_z(&name), strb_z(&r->path), err);
	strb_fini(&name);
	if (r->gen_fd < 0)
		return -1;
	r->alive_fd = open_lock(r->gen_fd, PATH_ALIVE, O_CREAT);
	if (r->alive_fd < 0 || lock_file(r->alive_fd) < 0)
		return err_sys(err, "runtime directory %s: " PATH_ALIVE, strb_z(&r->path));
	return 0;
}

static void remove_own_generation(struct runtime_dir *r);

/* 1: the directory went away under us, try again. */
static int
try_open(struct runtime_dir *r, const struct runtime_request *q, struct err *err)
{
	int got = open_base(r, q, err);

	if (got == 0)
		got = take_start_lock(r, err);
	if (got == 0)
		got = look_around(r, q, err);
	if (got == 0 && (got = make_generation(r, err)) < 0)
		remove_own_generation(r);
	if (got != 0) {
		close_all(r);
		vec_fini(&r->left.all);
	}
	return got;
}

static int
try_dynamic(struct runtime_dir *r, const struct runtime_request *q, struct err *err)
{
	for (r->base_id = 0; r->base_id < 65536; r->base_id++) {
		if (try_open(r, q, err) == 0)
			return 0;
		if (errno != EEXIST)
			return -1;
	}
	return err_set(err, "--use-dynamic-base-id: no base id is free");
}

int
runtime_dir_open(struct runtime_dir *r, const struct runtime_request *q, struct err *err)
{
	int got = 1;

	*r = (struct runtime_dir){.base_fd = -1,
	    .gen_fd = -1,
	    .shm_fd = -1,
	    .lock_fd = -1,
	    .alive_fd = -1,
	    .control_fd = -1,
	    .base_id = q->base_id,
	    .generation = 1};
	if (q->dynamic)
		got = try_dynamic(r, q, err);
	for (int tries = 0; got == 1 && tries < 5; tries++)
		got = try_open(r, q, err);
	if (got == 1)
		err_set(err, "runtime directory %s: goes away all the time", strb_z(&r->path));
	if (got != 0)
		strb_fini(&r->path);
	return got == 0 ? 0 : -1;
}

/* ---- the segment */

static bool
is_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS;
}

/* Where a file is memory: g<n> itself, or /dev/shm/baton-<uid> with a link from g<n>. */
static int
choose_place(struct runtime_dir *r, struct err *err)
{
	struct strb path = {0};
	uint64_t random;
	int bad = 0;

	snprintf(r->segment_name, sizeof(r->segment_name), PATH_SEGMENT);
	if (is_memory(r->gen_fd))
		return 0;
	path_shm_dir(&path);
	rand_secret(&random, sizeof(random));
	snprintf(r->segment_name, sizeof(r->segment_name), "%016" PRIx64, random);
	r->shm_fd = open_own_dir(AT_FDCWD, strb_z(&path), strb_z(&path), err);
	if (r->shm_fd < 0) {
		bad = -1;
	} else {
		strb_printf(&path, "/%s", r->segment_name);
		if (symlinkat(strb_z(&path), r->gen_fd, PATH_SEGMENT) < 0)
			bad = err_sys(err, "runtime directory %s: link", strb_z(&r->path));
	}
	strb_fini(&path);
	return bad;
}

int
runtime_dir_segment(
    struct runtime_dir *r, uint32_t concurrency, struct segment **out, struct err *err)
{
	struct segment_params p = {.concurrency = concurrency, .generation = r->generation};

	if (choose_place(r, err) < 0)
		return -1;
	return segment_create(out, r->shm_fd >= 0 ? r->shm_fd : r->gen_fd, r->segment_name, &p, err);
}

/* ---- the control socket */

/* The address of a name in the directory; the directory's own path may be too long for one. */
static void
socket_name(struct sockaddr_un *un, int dir, const char *name)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "/proc/self/fd/%d/%s", dir, name);
}

int
runtime_dir_listen(struct runtime_dir *r, struct err *err)
{
	struct sockaddr_un un;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_sys(err, "control socket");
	r->control_fd = fd;
	socket_name(&un, r->gen_fd, PATH_CONTROL);
	/* The mode of the socket is the mode of its name. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ||
	    listen(fd, 64) < 0)
		return err_sys(err, "control socket in %s", strb_z(&r->path));
	return 0;
}

static int
write_pid(struct runtime_dir *r, struct err *err)
{
	static const char coming[] = PATH_PID ".new"; /* who reads finds the old one or the new one */
	char text[32];
	int fd = openat(r->base_fd, coming, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int bad = 0;

	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (fd < 0 || write(fd, text, strlen(text)) < 0 ||
	    renameat(r->base_fd, coming, r->base_fd, PATH_PID) < 0)
		bad = err_sys(err, "runtime directory %s: " PATH_PID, strb_z(&r->path));
	if (fd >= 0)
		close(fd);
	return bad;
}

int
runtime_dir_publish(struct runtime_dir *r, struct err *err)
{
	char coming[64];
	int bad = 0;

	snprintf(coming, sizeof(coming), PATH_CONTROL ".%d", (int)getpid());
	unlinkat(r->base_fd, coming, 0);
	if (linkat(r->gen_fd, PATH_CONTROL, r->base_fd, coming, 0) < 0 ||
	    renameat(r->base_fd, coming, r->base_fd, PATH_CONTROL) < 0)
		bad = err_sys(err, "control socket in %s", strb_z(&r->path));
	unlinkat(r->base_fd, coming, 0); /* it stays when both were the same already */
	return bad < 0 ? -1 : write_pid(r, err);
}

int
runtime_dir_connect(struct runtime_dir *r, uint64_t generation, struct err *err)
{
	struct sockaddr_un un;
	struct strb name = {0};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (generation) {
		path_generation(&name, generation);
		strb_addc(&name, '/');
	}
	strb_addz(&name, PATH_CONTROL);
	socket_name(&un, r->base_fd, strb_z(&name));
	strb_fini(&name);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	err_sys(err, "control socket in %s", strb_z(&r->path));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- the end */

void
runtime_dir_started(struct runtime_dir *r)
{
	if (r->lock_fd >= 0)
		close(r->lock_fd);
	r->lock_fd = -1;
}

bool
runtime_dir_is_starting(struct runtime_dir *r)
{
	int fd = open_lock(r->base_fd, PATH_LOCK, 0);
	bool held = fd >= 0 && lock_holder(fd) != 0;

	if (fd >= 0)
		close(fd);
	return held;
}

/* A link leads into our own /dev/shm directory, else it is left alone. */
static void
remove_linked_segment(int gen_fd)
{
	struct strb dir = {0};
	char target[256];
	ssize_t n = readlinkat(gen_fd, PATH_SEGMENT, target, sizeof(target) - 1);

	path_shm_dir(&dir);
	strb_addc(&dir, '/');
	if (n > 0 && str_starts(str_make(target, (size_t)n), strb_str(&dir)) &&
	    memchr(target + dir.n, '/', (size_t)n - dir.n) == NULL) {
		target[n] = '\0';
		unlink(target);
	}
	strb_fini(&dir);
}

static void
remove_generation(struct runtime_dir *r, const char *name)
{
	int fd = openat(r->base_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return;
	remove_linked_segment(fd);
	unlinkat(fd, PATH_SEGMENT, 0);
	unlinkat(fd, PATH_ALIVE, 0);
	unlinkat(fd, PATH_CONTROL, 0);
	close(fd);
	unlinkat(r->base_fd, name, AT_REMOVEDIR);
}

static void
remove_each(struct runtime_dir *r, const char *name, void *arg)
{
	remove_generation(r, name);
}

void
runtime_dir_forget(struct runtime_dir *r, uint64_t generation)
{
	struct strb name = {0};

	path_generation(&name, generation);
	remove_generation(r, strb_z(&name));
	strb_fini(&name);
}

static void
remove_own_generation(struct runtime_dir *r)
{
	runtime_dir_forget(r, r->generation);
}

static void
remove_lock(struct runtime_dir *r)
{
	/* Who starts at this moment finds us alive and gives up; only the lock file is his. */
	if (r->lock_fd < 0)
		r->lock_fd = open_lock(r->base_fd, PATH_LOCK, 0);
	if (r->lock_fd < 0 || lock_file(r->lock_fd) < 0)
		return;
	unlinkat(r->base_fd, PATH_LOCK, 0);
	rmdir(strb_z(&r->path));
}

static bool
anybody_else(struct runtime_dir *r)
{
	struct runtime_others others = {0};
	bool any = false;

	runtime_dir_others(r, &others);
	for (size_t i = 0; i < others.all.len; i++)
		any |= others.all.at[i].master || others.all.at[i].processes;
	vec_fini(&others.all);
	return any;
}

/* control.sock may be the successor's by now. */
static void
remove_names(struct runtime_dir *r)
{
	struct stat ours, named;

	if (fstatat(r->gen_fd, PATH_CONTROL, &ours, 0) < 0 ||
	    fstatat(r->base_fd, PATH_CONTROL, &named, 0) < 0 || ours.st_ino != named.st_ino)
		return;
	unlinkat(r->base_fd, PATH_CONTROL, 0);
	unlinkat(r->base_fd, PATH_PID, 0);
}

void
runtime_dir_remove(struct runtime_dir *r, enum runtime_end how)
{
	bool others;

	if (r->base_fd < 0)
		return;
	others = how == RUNTIME_LEFT || anybody_else(r);
	remove_names(r);
	if (how == RUNTIME_FAILED) {
		remove_own_generation(r);
	} else if (others) { /* our numbers stay; who serves adds them up */
		unlinkat(r->gen_fd, PATH_CONTROL, 0);
	} else {
		unlinkat(r->base_fd, PATH_TOTALS, 0);
		unlinkat(r->base_fd, PATH_TOTALS ".new", 0);
		each_generation(r, remove_each, NULL, NULL);
	}
	if (!others)
		remove_lock(r);
	close_all(r);
	vec_fini(&r->left.all);
	strb_fini(&r->path);
}

int
write_text_file(const char *path, const char *text, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (!ok)
		err_sys(err, "%s", path);
	if (fd >= 0)
		close(fd);
	return ok ? 0 : -1;
}
