/* A generation's own directory, g<n>: its segment and what is removed with it. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/base/rand.h"
#include "master/runtime_dir_private.h"
#include "shm/paths.h"
#include "shm/segment.h"

#define TMPFS 0x01021994 /* linux/magic.h */

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
	r->shm_fd = runtime_own_dir(AT_FDCWD, strb_z(&path), strb_z(&path), err);
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

/* ---- the end */

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

void
runtime_generation_remove(struct runtime_dir *r, const char *name)
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

void
runtime_dir_forget(struct runtime_dir *r, uint64_t generation)
{
	struct strb name = {0};

	path_generation(&name, generation);
	runtime_generation_remove(r, strb_z(&name));
	strb_fini(&name);
}
