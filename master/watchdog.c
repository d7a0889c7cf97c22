#include "master/watchdog.h"

#define TICKS(ms) (((ms) + WATCH_TICK_MS - 1) / WATCH_TICK_MS)
#define LEND_MS 250
#define KILL_MS 1000 /* after SIGABRT: a stopped process does not see it */

void
watch_reset(struct watch *w)
{
	*w = (struct watch){0};
}

bool
watch_is_at(const struct watch *w, uint32_t ms)
{
	return w->asked && w->silent == TICKS(ms);
}

enum watch_verdict
watch_tick(struct watch *w, uint64_t beat, uint32_t limit_s)
{
	bool was_lent = w->lent;
	uint32_t limit = TICKS(limit_s * 1000u);

	if (beat != w->beat && !w->aborted) {
		*w = (struct watch){.beat = beat};
		return was_lent ? WATCH_BACK : WATCH_FINE;
	}
	if (!w->asked) {
		w->asked = true;
		return WATCH_ASK;
	}
	w->silent++;
	if (w->aborted)
		return limit && w->silent == limit + TICKS(KILL_MS) ? WATCH_KILL : WATCH_LATE;
	if (limit && w->silent >= limit) {
		w->aborted = true;
		w->silent = limit;
		return WATCH_ABORT;
	}
	if (!w->lent && w->silent >= TICKS(LEND_MS)) {
		w->lent = true;
		return WATCH_LEND;
	}
	return WATCH_LATE;
}
