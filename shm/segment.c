#include "shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "shm/failures.h"
#include "shm/flags.h"
#include "shm/lane_private.h"
#include "shm/schema.h"

#define MIB (1024ull * 1024)
#define LANE_BYTES (128 * MIB)
#define DIR_BYTES (64 * MIB)
#define SHARED_BYTES (64 * MIB)

int (*segment_fallocate)(int fd, int mode, off_t off, off_t len) = fallocate;

static struct segment *own;

void
segment_use(struct segment *s)
{
	own = s;
}

struct segment *
segment_own(void)
{
	return own;
}

int
segment_commit(struct segment *s, uint64_t off, uint64_t len, struct err *err)
{
	uint64_t from = off & ~(uint64_t)(SEG_PAGE - 1);

	if (len == 0)
		return 0;
	while (segment_fallocate(s->fd, 0, (off_t)from, (off_t)(off + len - from)) < 0) {
		if (errno != EINTR)
			return err_sys(
			    err, "no shared memory for %llu bytes", (unsigned long long)len);
	}
	return 0;
}

static uint64_t
page_up(uint64_t n)
{
	return (n + SEG_PAGE - 1) & ~(uint64_t)(SEG_PAGE - 1);
}

static uint64_t
pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

/* Places the areas one after another; the directory begins behind what is committed at once. */
static void
lay_out(struct seg_header *h, const struct segment_params *p, uint64_t schema_bytes)
{
	uint64_t at = SEG_PAGE;

	h->seats = 2 * p->concurrency + 2;
	h->seat_bytes = sizeof(struct seg_seat);
	h->seats_off = at;
	at += page_up((uint64_t)h->seats * h->seat_bytes);
	h->flags_off = at;
	h->flags_bytes = sizeof(struct shm_flags);
	at += SEG_PAGE;
	h->failures_off = at;
	h->failure_slots = FAILURE_SLOTS;
	h->failure_bytes = sizeof(struct seg_failure);
	at += page_up((uint64_t)FAILURE_SLOTS * h->failure_bytes);
	h->schema_off = at;
	h->schema_bytes = schema_bytes;
	at += page_up(schema_bytes);
	h->dir_off = at;
	h->dir_bytes = page_up(p->dir_bytes ? p->dir_bytes : DIR_BYTES);
	at += h->dir_bytes;
	h->shared_off = at;
	h->shared_bytes = page_up(p->shared_bytes ? p->shared_bytes : SHARED_BYTES);
	at += h->shared_bytes;
	h->lanes_off = at;
	h->lane_bytes =
	    (p->lane_bytes ? p->lane_bytes : LANE_BYTES) & ~(uint64_t)(2 * SEG_PAGE - 1);
	h->total_bytes = at + h->seats * h->lane_bytes;
	h->lane_end = SEG_PAGE;
}

static void
describe(struct seg_header *h, const struct segment_params *p, struct str schema, uint32_t rows)
{
	h->format = SEG_FORMAT;
	h->header_bytes = sizeof(*h);
	rand_secret(&h->id, sizeof(h->id));
	h->generation = p->generation;
	h->created_wall_ns = clock_wall_ns();
	h->pid_namespace = pid_namespace();
	h->schema_hash = hash_xx64(schema.p, schema.n, 0);
	snprintf(h->version, sizeof(h->version), "%s", BATON_VERSION);
	h->scopes = STAT_SCOPES;
	h->scope_bytes = sizeof(struct seg_scope);
	h->rows = rows;
	h->row_bytes = sizeof(struct seg_row);
	lay_out(h, p, schema.n);
}

static int
map_file(struct segment *s, struct err *err)
{
	void *p =
	    mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, s->fd, 0);

	if (p == MAP_FAILED)
		return err_sys(err, "mmap of %llu bytes", (unsigned long long)s->bytes);
	madvise(p, s->bytes, MADV_DONTDUMP);
	s->base = p;
	s->h = p;
	return 0;
}

static int
check_file_limit(uint64_t bytes, struct err *err)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_FSIZE, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY &&
	    rl.rlim_cur < bytes)
		return err_set(err,
		    "the file size limit (ulimit -f) is below the %llu bytes of a segment",
		    (unsigned long long)bytes);
	return 0;
}

/* Size, first memory, header; the magic comes last. */
static int
fill(struct segment *s, const struct segment_params *p, struct str schema, uint32_t rows,
    struct err *err)
{
	struct seg_header h = {0};

	describe(&h, p, schema, rows);
	s->bytes = h.total_bytes;
	if (check_file_limit(s->bytes, err) < 0)
		return -1;
	if (ftruncate(s->fd, (off_t)s->bytes) < 0)
		return err_sys(err, "cannot size the segment");
	if (segment_commit(s, 0, h.dir_off, err) < 0 || map_file(s, err) < 0)
		return -1;
	memcpy(s->base + h.schema_off, schema.p, schema.n);
	memcpy(s->base, &h, sizeof(h));
	__atomic_store_n(&s->h->magic, SEG_MAGIC, __ATOMIC_RELEASE);
	return 0;
}

static int
create_on(struct segment **out, int fd, const struct segment_params *p, struct err *err)
{
	struct segment *s = mem_try_alloc(sizeof(*s));
	struct strb schema = {0};
	uint32_t rows;
	int rc;

	if (s == NULL) {
		close(fd);
		return err_set(err, "out of memory");
	}
	s->fd = fd;
	schema_write(&schema, &rows);
	rc = fill(s, p, strb_str(&schema), rows, err);
	strb_fini(&schema);
	if (rc < 0) {
		segment_free(&s);
		return -1;
	}
	*out = s;
	return 0;
}

int
segment_create(struct segment **out, int dirfd, const char *name, const struct segment_params *p,
    struct err *err)
{
	int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(err, "cannot create segment '%s'", name);
	if (create_on(out, fd, p, err) < 0) {
		unlinkat(dirfd, name, 0);
		return err_in(err, "segment '%s'", name);
	}
	return 0;
}

int
segment_create_private(struct segment **out, const struct segment_params *p, struct err *err)
{
	int fd = memfd_create("baton-segment", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "memfd_create");
	return create_on(out, fd, p, err);
}

/* Made by a binary of our schema, and complete: then its layout is ours. */
static int
check_own_format(struct segment *s, struct err *err)
{
	struct segment_params p = {0};
	struct seg_header h, want = {0};
	struct strb schema = {0};
	struct stat st;
	uint32_t rows;

	if (pread(s->fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || h.magic != SEG_MAGIC)
		return err_set(err, "not a segment");
	schema_write(&schema, &rows);
	p.concurrency = h.seats / 2 - 1;
	p.lane_bytes = h.lane_bytes;
	p.dir_bytes = h.dir_bytes;
	p.shared_bytes = h.shared_bytes;
	describe(&want, &p, strb_str(&schema), rows);
	strb_fini(&schema);
	if (h.format != SEG_FORMAT || h.schema_hash != want.schema_hash || h.seats < 2 ||
	    h.total_bytes != want.total_bytes || h.lanes_off != want.lanes_off)
		return err_set(err, "a segment of another version (%.*s)",
		    (int)sizeof(h.version) - 1, h.version);
	if (fstat(s->fd, &st) < 0 || (uint64_t)st.st_size != h.total_bytes)
		return err_set(err, "truncated segment");
	s->bytes = h.total_bytes;
	return 0;
}

int
segment_map(struct segment **out, int fd, struct err *err)
{
	struct segment *s = mem_try_alloc(sizeof(*s));

	if (s == NULL) {
		close(fd);
		return err_set(err, "out of memory");
	}
	s->fd = fd;
	if (check_own_format(s, err) < 0 || map_file(s, err) < 0) {
		segment_free(&s);
		return -1;
	}
	*out = s;
	return 0;
}

void
segment_free(struct segment **sp)
{
	struct segment *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	lane_forget(s);
	if (own == s)
		own = NULL;
	for (int i = 0; i < STAT_SCOPES; i++) {
		map_fini(&s->index[i]);
		vec_fini(&s->retired[i]);
	}
	if (s->base)
		munmap(s->base, s->bytes);
	close(s->fd);
	mem_free(s);
}

bool
segment_is_unfinished(int fd)
{
	uint64_t magic = 0;

	return pread(fd, &magic, sizeof(magic), 0) >= 0 && magic == 0;
}

int
segment_unlink(int dirfd, const char *name, struct err *err)
{
	if (unlinkat(dirfd, name, 0) < 0)
		return err_sys(err, "cannot remove segment '%s'", name);
	return 0;
}
