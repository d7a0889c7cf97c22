/*
 * How a worker goes: it stops to accept, tells its connections, hands over
 * what the next generation takes, and ends when nothing is left; or it is
 * told to stay after all.
 */
#include "shm/flags.h"
#include "worker/process_private.h"

#define LISTED_MOST 32u /* connections that a report names */

void
worker_report_holding(struct worker *w)
{
	uint32_t held[DRAIN_KINDS];
	struct strb who = {0};
	struct message m;

	hcm_count_held(&w->hcm, held);
	hcm_list_held(&w->hcm, LISTED_MOST, &who);
	message_init(&m, MSG_HOLDING);
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		message_u(&m, held[k]);
	message_s(&m, strb_str(&who));
	strb_fini(&who);
	worker_tell_master(w, &m);
}

void
worker_end_if_empty(struct worker *w)
{
	if (w->state == WORKER_DRAINING && w->hcm.held == 0 && handover_unanswered(&w->handover) == 0)
		worker_enter(w, WORKER_ENDED);
}

void
worker_drain(struct worker *w, const struct drain_order *o)
{
	if (w->state == WORKER_DRAINING)
		drain_hurry(&w->drain, loop_now_ns(w->loop), o);
	if (w->state == WORKER_DRAINING || w->state == WORKER_ENDED)
		return;
	worker_enter(w, WORKER_DRAINING);
	if (o->another_serves)
		listeners_rest(&w->listeners);
	else
		listeners_stop(&w->listeners, false);
	drain_obey(&w->drain, loop_now_ns(w->loop), o);
	handover_start(&w->handover);
	hcm_tell_all(&w->hcm);
	worker_report_holding(w);
	worker_end_if_empty(w);
}

void
worker_on_stop_accepting(struct worker *w, struct message_view *v)
{
	listeners_stop(&w->listeners, false);
}

void
worker_on_drain(struct worker *w, struct message_view *v)
{
	struct drain_order o;

	drain_order_get(&o, v);
	/* A master that drains says so itself; ours is dead, and readers take the newest generation
	 * that does not drain for the one that serves. */
	if (w->adopted && o.another_serves)
		__atomic_store_n(&shm_flags()->draining, 1, __ATOMIC_RELEASE);
	worker_drain(w, &o);
}

/* Envoy accepts during the window of a graceful drain and stops at its end. */
void
worker_on_window_over(void *arg)
{
	struct worker *w = arg;

	listeners_stop(&w->listeners, w->stop_inbound_only);
}

void
worker_on_drain_listeners(struct worker *w, struct message_view *v)
{
	bool graceful = message_get_u(v) != 0;
	bool inbound_only = message_get_u(v) != 0;
	bool skip_exit = message_get_u(v) != 0;

	listeners_drain(&w->listeners, inbound_only);
	if (skip_exit)
		return;
	if (!graceful) {
		listeners_stop(&w->listeners, inbound_only);
		return;
	}
	w->stop_inbound_only = inbound_only;
	timer_set(w->loop, &w->stop, w->start->settings->drain_time_s * 1000ull);
}

/* The successor is gone: what was told to go goes, the rest stays. */
void
worker_on_resume(struct worker *w, struct message_view *v)
{
	if (w->state != WORKER_DRAINING)
		return;
	worker_enter(w, WORKER_SERVING);
	w->drain.draining = false;
	handover_stop(&w->handover);
	listeners_resume(&w->listeners);
}

void
worker_on_hand_to(struct worker *w, struct message_view *v)
{
	int fd = message_take_fd(v);

	if (fd >= 0)
		handover_to(&w->handover, fd);
}

void
worker_on_hand_from(struct worker *w, struct message_view *v)
{
	int fd = message_take_fd(v);

	if (fd >= 0)
		handover_from(&w->handover, fd);
}

void
worker_on_stop(struct worker *w, struct message_view *v)
{
	if (w->state != WORKER_ENDED)
		worker_enter(w, WORKER_ENDED);
}
