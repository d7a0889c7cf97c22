/* What the files of the admin process share: see admin.h. */
#include "admin/admin.h"

#include "lib/base/assert.h"
#include "lib/base/log.h"
#include "shm/flags.h"

void
admin_send(struct admin *a, struct message *m)
{
	enum message_type type = m->type;

	if (a->channel == NULL) {
		message_fini(m);
		return;
	}
	if (!channel_send(a->channel, m))
		log_warning(LOG_IPC, "channel: %s was dropped", message_name(type));
}

void
admin_stop(struct admin *a, int exit_status)
{
	a->exit_status = exit_status;
	a->ending = true;
	loop_stop(a->loop);
}

/* ---- the store */

static void
forget_past(struct admin *a)
{
	for (size_t i = 0; i < a->past.len; i++)
		store_fini(&a->past.at[i]);
	vec_fini(&a->past);
}

void
admin_store_hold(struct admin *a)
{
	a->store_readers++;
}

void
admin_store_release(struct admin *a)
{
	if (--a->store_readers == 0)
		forget_past(a);
}

void
admin_store_replace(struct admin *a, struct store *next)
{
	next->journal = a->store.journal;
	a->store.journal = NULL;
	*vec_push(&a->past) = a->store;
	a->store = *next;
	store_init(next);
	if (a->store_readers == 0)
		forget_past(a);
}

void
admin_store_fini(struct admin *a)
{
	store_fini(&a->store);
	forget_past(a);
}

unsigned
admin_state(const struct admin *a)
{
	const struct shm_flags *f = shm_flags();

	if (flag_get(&f->draining) || a->draining)
		return SERVER_DRAINING;
	if (f->state == SERVER_LIVE && flag_get(&f->health_failed))
		return SERVER_DRAINING;
	return f->state;
}

const char *
admin_state_name(unsigned state)
{
	static const char *const names[] = {"LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"};

	return state < ARRAY_LEN(names) ? names[state] : "UNKNOWN";
}
