#include "lib/ipc/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/map.h"
#include "lib/base/mem.h"

#define MAGIC "BTNJRNL1"
#define HEAD 8          /* the magic */
#define MIN_STALE 65536 /* smaller journals are never worth a copy */

enum disk_what {
	REPLACES,
	REMOVES,
	SAYS_MORE,
};

struct disk_record {
	uint32_t size; /* of the whole record, a multiple of 8 */
	uint16_t kind;
	uint16_t what; /* enum disk_what */
	uint32_t name_len, version_len;
	uint64_t bytes_len;
};

struct journal {
	int fd;
	uint64_t size;
};

/* ---- reading */

int
journal_reader_fd(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

int
journal_map(struct journal_map *m, int fd, uint64_t n, struct err *err)
{
	struct stat st;

	*m = (struct journal_map){0};
	if (n == 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "journal");
	if (n > (uint64_t)st.st_size || n < HEAD)
		return err_set(err, "journal: %llu bytes announced, %llu there", (unsigned long long)n,
		    (unsigned long long)st.st_size);
	m->p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
	if (m->p == MAP_FAILED) {
		m->p = NULL;
		return err_sys(err, "journal: mmap");
	}
	m->n = m->mapped = n;
	if (memcmp(m->p, MAGIC, HEAD) != 0) {
		journal_unmap(m);
		return err_set(err, "journal: not a journal");
	}
	return 0;
}

void
journal_unmap(struct journal_map *m)
{
	if (m->p)
		munmap((void *)(uintptr_t)m->p, m->mapped);
	*m = (struct journal_map){0};
}

int
journal_next(const struct journal_map *m, uint64_t *at, struct journal_record *out)
{
	struct disk_record d;
	uint64_t from = *at ? *at : HEAD, room;
	const char *p;

	if (m->n == 0 || from == m->n)
		return 0;
	if (from > m->n || m->n - from < sizeof(d))
		return -1;
	memcpy(&d, m->p + from, sizeof(d)); /* read once: the checks and the use see the same */
	if (d.size < sizeof(d) || d.size % 8 || d.size > m->n - from)
		return -1;
	room = d.size - sizeof(d);
	if (d.name_len > room || d.version_len > room - d.name_len ||
	    d.bytes_len > room - d.name_len - d.version_len)
		return -1;
	p = m->p + from + sizeof(d);
	*out = (struct journal_record){.kind = d.kind,
	    .removed = d.what == REMOVES,
	    .more = d.what == SAYS_MORE,
	    .name = str_make(p, d.name_len),
	    .version = str_make(p + d.name_len, d.version_len),
	    .bytes = str_make(p + d.name_len + d.version_len, d.bytes_len),
	    .end = from + d.size};
	*at = out->end;
	return 1;
}

/* ---- the live state */

struct live_key {
	struct strb key; /* kind and name */
	size_t index;    /* in live */
	VEC(size_t) more; /* likewise */
};

static void
make_key(struct strb *b, const struct journal_record *r)
{
	strb_add(b, &r->kind, sizeof(r->kind));
	strb_adds(b, r->name);
}

static void
free_keys(struct map *keys)
{
	struct map_slot *slot;
	size_t i = 0;

	while ((slot = map_next(keys, &i)) != NULL) {
		struct live_key *k = slot->value;

		strb_fini(&k->key);
		vec_fini(&k->more);
		mem_free(k);
	}
	map_fini(keys);
}

static void
forget_more(struct journal_state *s, struct live_key *k)
{
	for (size_t i = 0; i < k->more.len; i++)
		s->live.at[k->more.at[i]].removed = true;
	k->more.len = 0;
}

static void
apply(struct journal_state *s, struct map *keys, const struct journal_record *r)
{
	struct live_key *k, probe = {0};

	make_key(&probe.key, r);
	k = map_get(keys, strb_str(&probe.key));
	if (k && r->more) {
		*vec_push(&k->more) = s->live.len;
		*vec_push(&s->live) = *r;
		strb_fini(&probe.key);
		return;
	}
	if (k)
		forget_more(s, k);
	if (k && s->live.at[k->index].removed && !r->removed) /* gone and back: at the end again */
		k->index = s->live.len, *vec_push(&s->live) = *r;
	else if (k)
		s->live.at[k->index] = *r;
	if (k || r->removed) {
		strb_fini(&probe.key);
		return;
	}
	k = mem_new(struct live_key);
	k->key = probe.key;
	k->index = s->live.len;
	*vec_push(&s->live) = *r;
	map_put(keys, strb_str(&k->key), k);
}

int
journal_read(const struct journal_map *m, struct journal_state *out, struct err *err)
{
	struct map keys = {0};
	struct journal_record r;
	uint64_t at = 0;
	size_t kept = 0;
	int more;

	*out = (struct journal_state){0};
	while ((more = journal_next(m, &at, &r)) > 0)
		apply(out, &keys, &r);
	free_keys(&keys);
	if (more < 0) {
		journal_state_fini(out);
		return err_set(err, "journal: damaged at offset %llu", (unsigned long long)at);
	}
	for (size_t i = 0; i < out->live.len; i++)
		if (!out->live.at[i].removed)
			out->live.at[kept++] = out->live.at[i];
	out->live.len = kept;
	return 0;
}

void
journal_state_fini(struct journal_state *s)
{
	vec_fini(&s->live);
}

/* ---- writing */

static int
write_all(int fd, uint64_t at, const char *p, size_t n, struct err *err)
{
	while (n) {
		ssize_t put = pwrite(fd, p, n, (off_t)at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return err_sys(err, "journal: write");
		p += put;
		n -= (size_t)put;
		at += (uint64_t)put;
	}
	return 0;
}

static struct journal *
journal_over(int fd, uint64_t size)
{
	struct journal *j = mem_new(struct journal);

	j->fd = fd;
	j->size = size;
	return j;
}

struct journal *
journal_new(struct err *err)
{
	int fd = memfd_create("baton-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0) {
		err_sys(err, "journal: memfd_create");
		return NULL;
	}
	if (write_all(fd, 0, MAGIC, HEAD, err) < 0) {
		close(fd);
		return NULL;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
		err_sys(err, "journal: seal");
		close(fd);
		return NULL;
	}
	return journal_over(fd, HEAD);
}

struct journal *
journal_adopt(int fd, uint64_t use, struct err *err)
{
	struct journal_map m;
	struct journal_state s;
	int bad = journal_map(&m, fd, use, err) < 0 || journal_read(&m, &s, err) < 0;

	if (!bad)
		journal_state_fini(&s);
	journal_unmap(&m);
	if (bad) {
		close(fd);
		return NULL;
	}
	return journal_over(fd, use ? use : HEAD);
}

void
journal_free(struct journal **jp)
{
	struct journal *j = *jp;

	*jp = NULL;
	if (j == NULL)
		return;
	close(j->fd);
	mem_free(j);
}

static int
put_record(struct journal *j, const struct journal_record *r, struct err *err)
{
	struct disk_record d = {.kind = r->kind,
	    .what = r->removed ? REMOVES : r->more ? SAYS_MORE : REPLACES,
	    .name_len = (uint32_t)r->name.n,
	    .version_len = (uint32_t)r->version.n,
	    .bytes_len = r->bytes.n};
	uint64_t size = (sizeof(d) + r->name.n + r->version.n + r->bytes.n + 7) & ~7ull;
	struct strb b = {0};
	int bad;

	if (size > UINT32_MAX)
		return err_set(err, "journal: '" STR_FMT "' is too large", STR_ARG(r->name));
	d.size = (uint32_t)size;
	strb_reserve(&b, size);
	strb_add(&b, &d, sizeof(d));
	strb_adds(&b, r->name);
	strb_adds(&b, r->version);
	strb_adds(&b, r->bytes);
	while (b.n < size)
		strb_addc(&b, '\0');
	bad = write_all(j->fd, j->size, b.p, b.n, err);
	strb_fini(&b);
	if (bad == 0)
		j->size += size;
	return bad;
}

int
journal_append(struct journal *j, uint16_t kind, struct str name, struct str version,
    struct str bytes, struct err *err)
{
	struct journal_record r = {.kind = kind, .name = name, .version = version, .bytes = bytes};

	return put_record(j, &r, err);
}

int
journal_append_more(struct journal *j, uint16_t kind, struct str name, struct str version,
    struct str bytes, struct err *err)
{
	struct journal_record r = {
	    .kind = kind, .more = true, .name = name, .version = version, .bytes = bytes};

	return put_record(j, &r, err);
}

int
journal_remove(struct journal *j, uint16_t kind, struct str name, struct err *err)
{
	struct journal_record r = {.kind = kind, .removed = true, .name = name};

	return put_record(j, &r, err);
}

void
journal_rewind(struct journal *j, uint64_t size)
{
	if (size >= HEAD && size < j->size)
		j->size = size;
}

uint64_t
journal_size(const struct journal *j)
{
	return j->size;
}

int
journal_fd(const struct journal *j)
{
	return j->fd;
}

static uint64_t
live_bytes(const struct journal_state *s)
{
	uint64_t n = HEAD;

	for (size_t i = 0; i < s->live.len; i++) {
		const struct journal_record *r = &s->live.at[i];

		n += (sizeof(struct disk_record) + r->name.n + r->version.n + r->bytes.n + 7) & ~7ull;
	}
	return n;
}

bool
journal_is_stale(const struct journal *j)
{
	struct journal_map m;
	struct journal_state s;
	bool stale = false;

	if (j->size < MIN_STALE || journal_map(&m, j->fd, j->size, NULL) < 0)
		return false;
	if (journal_read(&m, &s, NULL) == 0) {
		stale = live_bytes(&s) < j->size / 2;
		journal_state_fini(&s);
	}
	journal_unmap(&m);
	return stale;
}

static int
copy_live(struct journal *to, const struct journal *from, struct err *err)
{
	struct journal_map m;
	struct journal_state s;
	int bad;

	if (journal_map(&m, from->fd, from->size, err) < 0)
		return -1;
	bad = journal_read(&m, &s, err);
	if (bad == 0) {
		for (size_t i = 0; i < s.live.len && bad == 0; i++)
			bad = put_record(to, &s.live.at[i], err);
		journal_state_fini(&s);
	}
	journal_unmap(&m);
	return bad;
}

struct journal *
journal_compact(const struct journal *j, struct err *err)
{
	struct journal *copy = journal_new(err);

	if (copy && copy_live(copy, j, err) < 0)
		journal_free(&copy);
	return copy;
}
