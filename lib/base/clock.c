#include "lib/base/clock.h"

#include <time.h>

static uint64_t fixed_mono, fixed_wall;

static uint64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t
clock_mono_ns(void)
{
	return fixed_mono ? fixed_mono : read_clock(CLOCK_MONOTONIC);
}

uint64_t
clock_wall_ns(void)
{
	return fixed_wall ? fixed_wall : read_clock(CLOCK_REALTIME);
}

void
clock_set(uint64_t mono_ns, uint64_t wall_ns)
{
	fixed_mono = mono_ns;
	fixed_wall = wall_ns;
}
