#include "master/supervisor.h"

#include <inttypes.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/event/loop.h"
#include "master/link.h"
#include "master/master_private.h"

#define EXTENSION_US 5000000 /* asked for every second */
#define NS_PER_US 1000ull

static bool
say(struct master *m, struct strb *lines)
{
	bool sent = notify_send(&m->supervisor.notify, strb_str(lines));

	strb_fini(lines);
	return sent;
}

static void __attribute__((format(printf, 2, 3)))
add_status(struct strb *lines, const char *fmt, ...)
{
	struct strb text = {0};
	va_list ap;

	va_start(ap, fmt);
	strb_vprintf(&text, fmt, ap);
	va_end(ap);
	notify_add_text(lines, "STATUS", strb_str(&text));
	strb_fini(&text);
}

/* ---- life */

static bool
say_ready(struct master *m)
{
	const struct settings *s = m->settings;
	struct strb lines = {0}, *refused = &m->supervisor.refused;

	strb_printf(&lines, "READY=1\nMAINPID=%d\n", (int)getpid());
	if (refused->n)
		add_status(&lines, "epoch %u serves, workers=%u; the last reload was refused: %s",
		    s->restart_epoch, s->concurrency, strb_z(refused));
	else
		add_status(&lines, "epoch %u serves, workers=%u", s->restart_epoch, s->concurrency);
	return say(m, &lines);
}

static bool
say_handed_over(struct master *m)
{
	const struct link *l = link_in(m, LINK_SERVES);
	struct strb lines = {0};

	if (l == NULL || l->pid == 0) /* 0: a later one, it spoke for itself */
		return true;
	strb_printf(&lines, "READY=1\nMAINPID=%d\n", (int)l->pid);
	add_status(&lines, "epoch %u serves", (unsigned)l->epoch);
	return say(m, &lines);
}

static bool
say_stopping(struct master *m)
{
	struct strb lines = {0};

	strb_addz(&lines, "STOPPING=1\n");
	add_status(&lines, "%s", master_state_name(m));
	return say(m, &lines);
}

/* Was it the service that ends, not a start that failed or a generation that had handed over? */
static bool
ends_the_service(const struct master *m)
{
	return m->state == MASTER_ENDING && m->served && !m->has_heir;
}

/* What a service manager must not miss is said again at the next tick. */
void
supervisor_entered(struct master *m)
{
	bool said = true;

	if (m->state == MASTER_SERVING)
		said = say_ready(m);
	else if (m->state == MASTER_HANDED_OVER)
		said = say_handed_over(m);
	else if (m->state == MASTER_LEAVING || ends_the_service(m))
		said = say_stopping(m);
	m->supervisor.unsaid = !said;
}

/* ---- reload */

void
supervisor_reload_begun(struct master *m)
{
	uint64_t now_us = clock_mono_ns() / NS_PER_US;
	struct strb lines = {0};

	if (m->state != MASTER_SERVING)
		return;
	m->supervisor.reloading = true;
	strb_printf(&lines, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n", now_us);
	add_status(&lines, "epoch %u reloads", m->settings->restart_epoch);
	say(m, &lines);
}

void
supervisor_reload_ended(struct master *m, bool ok, struct str why)
{
	struct supervisor *s = &m->supervisor;

	if (!s->reloading)
		return;
	s->reloading = false;
	strb_reset(&s->refused);
	if (!ok)
		strb_adds(&s->refused, why);
	if (m->state == MASTER_SERVING)
		supervisor_entered(m);
}

/* ---- by the clock */

/* A process that outlives SIGKILL is beyond our help; the service manager hears it by our silence.
 */
static bool
is_healthy(const struct master *m)
{
	uint32_t most = (m->settings->watchdog_s + 5) * (1000 / WATCH_TICK_MS);

	if (m->settings->watchdog_s == 0)
		return true;
	for (unsigned i = 0; i <= m->children.n; i++)
		if (m->children.at[i].pid && m->children.at[i].watch.silent > most)
			return false;
	return true;
}

static bool
speaks(const struct master *m)
{
	return m->state == MASTER_SERVING || m->state == MASTER_LEAVING ||
	       m->state == MASTER_DRAINING || ends_the_service(m);
}

/* At half of what it waits for, or at the tick before that. */
void
supervisor_tick(struct master *m)
{
	struct supervisor *s = &m->supervisor;
	uint64_t now = loop_now_ns(m->loop), half_ns = s->notify.watchdog_us * NS_PER_US / 2;

	if (s->unsaid)
		supervisor_entered(m);
	if (s->notify.watchdog_us == 0 || !speaks(m) || !is_healthy(m))
		return;
	if (now - s->pinged_ns + WATCH_TICK_MS * NS_PER_MS <= half_ns)
		return;
	s->pinged_ns = now;
	notify_send(&s->notify, STR("WATCHDOG=1\n"));
}

/* A start is extended up to its own limit, an end knows its deadline. */
void
supervisor_second(struct master *m)
{
	const struct settings *s = m->settings;
	bool starting = m->state == MASTER_STARTING &&
			loop_now_ns(m->loop) - m->started_ns < s->init_timeout_s * NS_PER_S;
	struct strb lines = {0};

	if (!starting && (!speaks(m) || m->state == MASTER_SERVING))
		return;
	strb_printf(&lines, "EXTEND_TIMEOUT_USEC=%d\n", EXTENSION_US);
	if (m->state == MASTER_DRAINING)
		add_status(&lines, "draining, connections=%" PRIu64 ", %" PRIu64 " s left",
		    master_held(m), master_seconds_left(m));
	else if (starting && !m->dir.has_elder) /* else there is one who serves, and says so */
		add_status(&lines, "epoch %u starts", s->restart_epoch);
	say(m, &lines);
}

void
supervisor_open(struct master *m)
{
	notify_open(&m->supervisor.notify);
}

void
supervisor_close(struct master *m)
{
	notify_close(&m->supervisor.notify);
	strb_fini(&m->supervisor.refused);
}
