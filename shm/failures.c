#include "shm/failures.h"

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

void
failure_note(const struct failure *f)
{
	struct segment *seg = segment_own();
	struct seg_failure *slot;
	uint64_t n;

	if (seg == NULL)
		return;
	n = __atomic_fetch_add(&seg->h->failures_next, 1, __ATOMIC_RELAXED);
	slot = (struct seg_failure *)(void *)(seg->base + seg->h->failures_off) + n % FAILURE_SLOTS;
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
