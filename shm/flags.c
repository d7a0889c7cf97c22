#include "shm/flags.h"

#include "lib/base/clock.h"
#include "shm/segment.h"

struct shm_flags *
shm_flags(void)
{
	static struct shm_flags nobody;
	struct segment *seg = segment_own();

	return seg ? (void *)(seg->base + seg->h->flags_off) : &nobody;
}

void
shm_set_health_failed(bool failed)
{
	struct shm_flags *f = shm_flags();

	if (flag_get(&f->health_failed) == failed)
		return;
	__atomic_store_n(&f->health_changed_ns, clock_mono_ns(), __ATOMIC_RELAXED);
	__atomic_store_n(&f->health_failed, failed, __ATOMIC_RELEASE);
}
