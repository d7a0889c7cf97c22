/*
 * Time.  clock_mono_ns() for durations and timers, clock_wall_ns() for
 * what people read.  Loops read the clock once per turn and hand it on
 * (lib/event/loop.h); everything else should ask the loop.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull

uint64_t clock_mono_ns(void);
uint64_t clock_wall_ns(void); /* since 1970, UTC */
/* Tests: from now on both clocks stand at these values; 0, 0 gives them back. */
void clock_set(uint64_t mono_ns, uint64_t wall_ns);

#endif
