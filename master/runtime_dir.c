#include "master/runtime_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "master/runtime_dir_private.h"
#include "shm/paths.h"

/* ---- directories */

/* Ours alone, or an error that names it.  `at` may be AT_FDCWD. */
int
runtime_own_dir(int at, const char *name, const char *shown, struct err *err)
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
	top_fd = runtime_own_dir(AT_FDCWD, strb_z(&top), strb_z(&top), err);
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
	r->base_fd = runtime_own_dir(top_fd, name, strb_z(&r->path), err);
	close(top_fd);
	return r->base_fd < 0 ? -1 : 0;
}

/* ---- locks */

int
runtime_lock(int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_SETLK, &l);
}

/* Who holds it; 0: nobody. */
pid_t
runtime_lock_holder(int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_GETLK, &l) < 0 || l.l_type == F_UNLCK ? 0 : l.l_pid;
}

int
runtime_lock_open(int dir, const char *name, int flags)
{
	return openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
}

/* A file that a clean end unlinked meanwhile is no lock any more: 1 means try again. */
static int
take_start_lock(struct runtime_dir *r, struct err *err)
{
	struct stat st;

	r->lock_fd = runtime_lock_open(r->base_fd, PATH_LOCK, O_CREAT);
	if (r->lock_fd < 0 && errno == ENOENT)
		return 1;
	if (r->lock_fd < 0)
		return err_sys(err, "runtime directory %s: " PATH_LOCK " (" HINT ")", strb_z(&r->path));
	if (runtime_lock(r->lock_fd) < 0)
		return err_set(err,
		    "runtime directory %s: another baton is starting there, pid %d (choose another --base-id)",
		    strb_z(&r->path), (int)runtime_lock_holder(r->lock_fd));
	if (fstat(r->lock_fd, &st) == 0 && st.st_nlink == 0) {
		close(r->lock_fd);
		r->lock_fd = -1;
		return 1;
	}
	return 0;
}

/* ---- opening */

/* What lives here already decides what this start is. */
static int
look_around(struct runtime_dir *r, const struct runtime_request *q, struct err *err)
{
	struct runtime_others others = {0};
	int32_t master = runtime_find_master(r, &others);
	unsigned orphans = runtime_count_orphans(&others);
	int bad = 0;

	r->has_elder = master && q->start != RUNTIME_PLAIN;
	if (master == 0)
		runtime_note_orphans(r, &others);
	if (master && q->start == RUNTIME_PLAIN)
		bad = err_set(err,
		    "base id %u is in use by the baton with pid %d (choose another --base-id, or end it: batonctl stop)",
		    r->base_id, (int)master);
	else if (!master && !orphans && q->start == RUNTIME_TAKE_OVER && !q->alone_is_fine)
		bad = err_set(err,
		    "runtime directory %s: there is no baton to take over from (see --skip-hot-restart-on-no-parent)",
		    strb_z(&r->path));
	else if (!master)
		runtime_fold_dead(r, &others);
	vec_fini(&others.all);
	return bad;
}

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
	r->gen_fd = runtime_own_dir(r->base_fd, strb_z(&name), strb_z(&r->path), err);
	strb_fini(&name);
	if (r->gen_fd < 0)
		return -1;
	r->alive_fd = runtime_lock_open(r->gen_fd, PATH_ALIVE, O_CREAT);
	if (r->alive_fd < 0 || runtime_lock(r->alive_fd) < 0)
		return err_sys(err, "runtime directory %s: " PATH_ALIVE, strb_z(&r->path));
	return 0;
}

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
		runtime_dir_forget(r, r->generation);
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
	int fd = runtime_lock_open(r->base_fd, PATH_LOCK, 0);
	bool held = fd >= 0 && runtime_lock_holder(fd) != 0;

	if (fd >= 0)
		close(fd);
	return held;
}

static void
remove_each(struct runtime_dir *r, const char *name, void *arg)
{
	runtime_generation_remove(r, name);
}

static void
remove_lock(struct runtime_dir *r)
{
	/* Who starts at this moment finds us alive and gives up; only the lock file is his. */
	if (r->lock_fd < 0)
		r->lock_fd = runtime_lock_open(r->base_fd, PATH_LOCK, 0);
	if (r->lock_fd < 0 || runtime_lock(r->lock_fd) < 0)
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

void
runtime_dir_remove(struct runtime_dir *r, enum runtime_end how)
{
	bool others;

	if (r->base_fd < 0)
		return;
	others = how == RUNTIME_LEFT || anybody_else(r);
	runtime_names_remove(r);
	if (how == RUNTIME_FAILED) {
		runtime_dir_forget(r, r->generation);
	} else if (others) { /* our numbers stay; who serves adds them up */
		unlinkat(r->gen_fd, PATH_CONTROL, 0);
	} else {
		unlinkat(r->base_fd, PATH_TOTALS, 0);
		unlinkat(r->base_fd, PATH_TOTALS ".new", 0);
		runtime_each_generation(r, remove_each, NULL, NULL);
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
