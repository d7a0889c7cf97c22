#include "admin/xds/subscription.h"

#include "admin/xds/source.h"
#include "lib/base/clock.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"

static void
stop_waiting(struct subscription *s)
{
	timer_stop(&s->fetch);
	s->answered = true;
}

static void
on_fetch_timeout(void *arg)
{
	struct subscription *s = arg;

	log_warning(LOG_CONFIG, "%s '%s': no answer within initial_fetch_timeout, going on without",
	    xds_types[s->type].label, s->name);
	stat_inc(&s->numbers.own->init_fetch_timeout);
	stat_inc(s->numbers.attempt);
	stop_waiting(s);
	s->events->give_up(s->arg);
}

void
subscription_begin(struct subscription *s, struct source *from, enum xds_type_id type,
    struct str name, uint64_t fetch_timeout_ms, const struct subscription_events *events, void *arg)
{
	struct subscription_numbers numbers = s->numbers;

	*s = (struct subscription){.source = from,
	    .type = type,
	    .name = str_dupz(name),
	    .events = events,
	    .arg = arg,
	    .numbers = numbers};
	timer_init(&s->fetch, on_fetch_timeout, s);
	stat_inc(s->numbers.attempt);
	if (fetch_timeout_ms)
		timer_set(source_loop(from), &s->fetch, fetch_timeout_ms);
}

void
subscription_end(struct subscription *s)
{
	timer_stop(&s->fetch);
	list_remove(&s->node);
	mem_free(s->name);
	s->name = NULL;
	s->source = NULL;
}

static void
count_success(struct subscription *s, struct str version, uint64_t began_ns)
{
	const struct subscription_numbers *n = &s->numbers;

	if (n->success)
		stat_inc(n->success);
	stat_inc(n->attempt);
	stat_set(&n->own->update_time, (int64_t)(loop_wall_ns(source_loop(s->source)) / NS_PER_MS));
	stat_set(&n->own->version, (int64_t)(hash_xx64(version.p, version.n, 0) >> 1));
	stat_text_set(&n->texts->version_text, version);
	stat_record(&n->own->update_duration, (clock_mono_ns() - began_ns) / NS_PER_MS);
}

int
subscription_take(
    struct subscription *s, const ProtobufCMessage *m, struct str version, struct err *err)
{
	uint64_t began_ns = clock_mono_ns();

	if (s->events->take(s->arg, m, version, err) < 0) {
		subscription_reject(s);
		return -1;
	}
	stop_waiting(s);
	count_success(s, version, began_ns);
	return 0;
}

static void
go_on_without(struct subscription *s, struct stat_counter *reason)
{
	bool first = !s->answered;

	stat_inc(reason);
	stat_inc(s->numbers.attempt);
	stop_waiting(s);
	if (first)
		s->events->give_up(s->arg);
}

void
subscription_reject(struct subscription *s)
{
	go_on_without(s, &s->numbers.own->update_rejected);
}

void
subscription_empty(struct subscription *s)
{
	go_on_without(s, s->numbers.empty);
}

void
subscription_fail(struct subscription *s)
{
	stat_inc(s->numbers.failure);
	stat_inc(s->numbers.attempt);
}
