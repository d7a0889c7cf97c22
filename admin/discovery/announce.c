#include "admin/discovery/announce.h"

#include "admin/admin.h"
#include "admin/reload.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/journal.h"

#define AGAIN_MS 1000
#define LOOK_BYTES (16u << 10) /* a journal that grew by a quarter and this may be worth a copy */

struct announce {
	struct admin *a;
	struct turn turn;
	bool asked; /* deferred to the end of this turn of the loop */
	uint64_t journal_before;
	uint64_t journal_looked; /* its size when it was last looked at */
	struct timer again;
};

static void
ask(void *arg)
{
	struct announce *n = arg;

	n->asked = false;
	if (!n->a->serving || n->a->ending || !members_are_dirty(&n->a->members))
		return;
	turns_ask(&n->a->turns, &n->turn);
}

static void
ask_later(struct announce *n)
{
	if (n->asked || n->a->ending)
		return;
	n->asked = true;
	loop_defer(n->a->loop, ask, n);
}

static void
on_dirty(void *arg)
{
	struct admin *a = arg;

	ask_later(a->announce);
}

static uint64_t
wall_ns(void *arg)
{
	struct admin *a = arg;

	return loop_wall_ns(a->loop);
}

/* ---- the turn */

static void
failed(struct announce *n, const char *why)
{
	struct admin *a = n->a;

	log_error(LOG_CONFIG, "members: not in force, workers keep what they have: %s", why);
	journal_rewind(a->store.journal, n->journal_before);
	members_written(&a->members, false);
	timer_set(a->loop, &n->again, AGAIN_MS);
}

static void
begin(void *arg)
{
	struct announce *n = arg;
	struct admin *a = n->a;
	struct err err = {""};

	if (announce_compact(a, &err) < 0)
		log_error(LOG_CONFIG, "journal: %s", err.text);
	n->journal_before = journal_size(a->store.journal);
	if (members_write(&a->members, a->store.journal, NULL, &err) < 0) {
		failed(n, err.text);
		turns_pass(&a->turns);
	} else if (journal_size(a->store.journal) == n->journal_before) {
		turns_pass(&a->turns);
	} else {
		publish_start(a->publish, journal_size(a->store.journal));
	}
}

static void
done(void *arg, const char *refused)
{
	struct announce *n = arg;

	if (refused) {
		failed(n, refused);
		reload_forget_prepared(n->a);
		return;
	}
	members_written(&n->a->members, true);
	members_count(&n->a->members);
	ask_later(n); /* what came meanwhile */
}

static void
on_again(void *arg)
{
	ask_later(arg);
}

void
announce_may_begin(struct announce *n)
{
	ask_later(n);
}

/* ---- the journal */

int
announce_compact(struct admin *a, struct err *err)
{
	uint64_t size = journal_size(a->store.journal), *looked = &a->announce->journal_looked;
	struct journal *copy;
	struct message m;

	if (size < *looked + *looked / 4 + LOOK_BYTES)
		return 0;
	*looked = size;
	if (!journal_is_stale(a->store.journal))
		return 0;
	if ((copy = journal_compact(a->store.journal, err)) == NULL)
		return -1;
	journal_free(&a->store.journal);
	a->store.journal = copy;
	*looked = journal_size(copy);
	publish_set_used(a->publish, journal_size(copy));
	message_init(&m, MSG_JOURNAL);
	m.fd = journal_fd(copy);
	message_u(&m, journal_size(copy));
	admin_send(a, &m);
	return 0;
}

/* ---- life */

struct announce *
announce_new(struct admin *a)
{
	struct announce *n = mem_new(struct announce);

	n->a = a;
	n->turn = (struct turn){begin, done, n};
	timer_init(&n->again, on_again, n);
	a->members.on_dirty = on_dirty;
	a->members.wall_ns = wall_ns;
	a->members.arg = a;
	a->members.serial = loop_wall_ns(a->loop);
	return n;
}

void
announce_free(struct announce **np)
{
	struct announce *n = *np;

	*np = NULL;
	if (n == NULL)
		return;
	timer_stop(&n->again);
	n->a->members.on_dirty = NULL;
	mem_free(n);
}
