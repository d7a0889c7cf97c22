#include "shm/failures.h"

#include "shm/image.h"
#include "shm/layout.h"
#include "shm/segment.h"

static void
put(char *to, size_t room, struct str s)
{
	size_t n = s.n < room - 1 ? s.n : room - 1;

	memset(to, 0, room);
	if (n)
		memcpy(to, s.p, n);
}

static struct seg_failure *
slot_of(const struct segment *seg, uint64_t n)
{
	return (struct seg_failure *)(void *)(seg->base + seg->h->failures_off) + n % FAILURE_SLOTS;
}

void
failure_note(const struct failure *f)
{
	struct segment *seg = segment_own();
	struct seg_failure *slot;
	uint64_t n;

	if (seg == NULL)
		return;
	n = __atomic_fetch_add(&seg->h->failures_next, 1, __ATOMIC_RELAXED);
	slot = slot_of(seg, n);
	__atomic_store_n(&slot->seq, 2 * n + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	slot->wall_ns = f->wall_ns;
	slot->kind = f->kind;
	slot->status = f->status;
	put(slot->flags, sizeof(slot->flags), f->flags);
	put(slot->route, sizeof(slot->route), f->route);
	put(slot->cluster, sizeof(slot->cluster), f->cluster);
	put(slot->host, sizeof(slot->host), f->host);
	put(slot->details, sizeof(slot->details), f->details);
	__atomic_store_n(&slot->seq, 2 * n + 2, __ATOMIC_RELEASE);
}

bool
failure_look(uint64_t back, struct seg_failure *out)
{
	const struct segment *seg = segment_own();
	const struct seg_failure *slot;
	uint64_t next, n;

	if (seg == NULL)
		return false;
	next = __atomic_load_n(&seg->h->failures_next, __ATOMIC_ACQUIRE);
	if (back >= next || back >= FAILURE_SLOTS)
		return false;
	n = next - 1 - back;
	slot = slot_of(seg, n);
	if (__atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE) != 2 * n + 2)
		return false;
	*out = *slot;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&slot->seq, __ATOMIC_RELAXED) == 2 * n + 2;
}

static struct str
text_of(const char *p, size_t room)
{
	return str_make(p, strnlen(p, room));
}

static void
note_again(const struct seg_failure *f)
{
	failure_note(&(struct failure){
	    .kind = FAILURE_CUT,
	    .wall_ns = f->wall_ns,
	    .status = f->status,
	    .flags = text_of(f->flags, sizeof(f->flags)),
	    .route = text_of(f->route, sizeof(f->route)),
	    .cluster = text_of(f->cluster, sizeof(f->cluster)),
	    .host = text_of(f->host, sizeof(f->host)),
	    .details = text_of(f->details, sizeof(f->details)),
	});
}

void
failures_inherit_cuts(const struct image *dead)
{
	uint32_t slots = dead->h.failure_slots;
	struct seg_failure f;

	for (uint32_t i = 0; i < slots && i < 65536; i++)
		if (image_failure(dead, i, &f) == 0 && f.kind == FAILURE_CUT)
			note_again(&f);
}
