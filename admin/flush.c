#include "admin/flush.h"

#include "admin/admin.h"
#include "admin/reading.h"
#include "conf/defaults.h"
#include "lib/base/mem.h"
#include "shm/latch.h"

#define LOOK_MS 60000 /* flushing goes on this long after a look */
#define INTERVAL_MS 5000

struct flushes {
	struct admin *a;
	struct stat_latch *latch;
	struct timer timer;
	struct reading reading;
	bool reading_now;
	uint64_t until_ms;
};

static uint64_t
interval_ms(const struct flushes *f)
{
	const Envoy__Config__Bootstrap__V3__Bootstrap *b = f->a->store.bootstrap;

	return b ? conf_duration_ms(b->stats_flush_interval, INTERVAL_MS) : INTERVAL_MS;
}

static bool
on_admin_only(const struct flushes *f)
{
	const Envoy__Config__Bootstrap__V3__Bootstrap *b = f->a->store.bootstrap;

	return b &&
	    b->stats_flush_case == ENVOY__CONFIG__BOOTSTRAP__V3__BOOTSTRAP__STATS_FLUSH_STATS_FLUSH_ON_ADMIN &&
	    b->stats_flush_on_admin;
}

static void
on_timer(void *arg)
{
	struct flushes *f = arg;
	struct stat_query all = {0};

	if (!f->reading_now) {
		reading_start(&f->reading, f->a, &all);
		f->reading_now = true;
	}
	if (reading_step(&f->reading)) {
		timer_set(f->a->loop, &f->timer, 1);
		return;
	}
	if (f->reading.set)
		stat_latch_flush(f->latch, f->reading.set);
	reading_fini(&f->reading);
	f->reading_now = false;
	if (loop_now_ms(f->a->loop) < f->until_ms)
		timer_set(f->a->loop, &f->timer, interval_ms(f));
}

struct flushes *
flushes_new(struct admin *a)
{
	struct flushes *f = mem_new(struct flushes);

	f->a = a;
	f->latch = stat_latch_new();
	timer_init(&f->timer, on_timer, f);
	return f;
}

void
flushes_free(struct flushes **fp)
{
	struct flushes *f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	timer_stop(&f->timer);
	if (f->reading_now)
		reading_fini(&f->reading);
	stat_latch_free(&f->latch);
	mem_free(f);
}

void
flushes_shown(struct flushes *f, struct stat_set *set)
{
	if (on_admin_only(f))
		stat_latch_flush(f->latch, set);
	stat_latch_apply(f->latch, set);
	if (on_admin_only(f))
		return;
	f->until_ms = loop_now_ms(f->a->loop) + LOOK_MS;
	if (!timer_armed(&f->timer) && !f->reading_now)
		timer_set(f->a->loop, &f->timer, interval_ms(f));
}

void
flushes_reset_counters(struct flushes *f, const struct stat_set *set)
{
	stat_latch_reset(f->latch, set);
}
