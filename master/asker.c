/*
 * The askers of the control socket: how they are answered, and what those
 * wait for whose answer is the end of something.
 */
#include <unistd.h>

#include "lib/base/json_out.h"
#include "lib/base/mem.h"
#include "lib/ipc/handover.h"
#include "master/control_private.h"

/* ---- askers */

void
asker_free(struct asker *a)
{
	list_remove(&a->node);
	timer_stop(&a->patience);
	io_del(&a->io);
	strb_fini(&a->packet);
	close(a->fd);
	mem_free(a);
}

void
asker_answer(struct asker *a, enum control_status status, struct str text)
{
	control_answer(a->fd, status, text);
	asker_free(a);
}

/* One line of text, or the same as JSON. */
void
asker_say(struct asker *a, enum control_status status, struct str text)
{
	struct strb line = {0};
	struct json_out j;

	if (str_ends(text, STR("\n")))
		text.n--;
	if (a->json) {
		json_out_init(&j, &line, false);
		json_object(&j);
		json_keyz(&j, "status");
		json_stringz(&j, status == CONTROL_OK ? "ok" : "refused");
		json_keyz(&j, "text");
		json_string(&j, text);
		json_end(&j);
	} else {
		strb_adds(&line, text);
	}
	strb_addc(&line, '\n');
	asker_answer(a, status, strb_str(&line));
	strb_fini(&line);
}

static void
on_patience(void *arg)
{
	struct asker *a = arg;

	if (a->waits == WAITS_FOR_ADMIN)
		asker_say(a, CONTROL_REFUSED, STR("admin did not answer"));
	else if (a->waits == WAITS_TO_RELOAD)
		asker_say(a, CONTROL_REFUSED, STR("admin is not there"));
	else
		asker_free(a);
}

/* Whoever is waited for has a limit of his own. */
void
asker_wait_for(struct asker *a, enum control_wait what)
{
	a->waits = what;
	timer_stop(&a->patience);
}

struct asker *
asker_new(struct control *c, int fd)
{
	struct asker *a = mem_new(struct asker);

	a->control = c;
	a->fd = fd;
	list_push_back(&c->askers, &a->node);
	timer_init(&a->patience, on_patience, a);
	return a;
}

/* ---- what admin is asked */

bool
asker_ask_admin(struct asker *a, uint64_t id, const struct control_request *r)
{
	struct strb line = {0};
	struct message m;

	for (unsigned i = 0; i < r->n; i++) {
		if (i)
			strb_addc(&line, ' ');
		strb_adds(&line, r->words[i]);
	}
	a->id = id;
	message_init(&m, MSG_CONTROL);
	message_u(&m, id);
	message_s(&m, strb_str(&line));
	message_u(&m, a->json);
	strb_fini(&line);
	return child_send(&a->control->master->children.at[0], &m);
}

void
asker_reload(struct asker *a)
{
	static const struct control_request reload = {.n = 1, .words = {{"reload", 6}}};
	struct control *c = a->control;

	a->waits = WAITS_FOR_ADMIN;
	if (!asker_ask_admin(a, ++c->last_id | RELOAD_ID, &reload)) {
		asker_say(a, CONTROL_REFUSED, STR("admin is not there just now"));
		return;
	}
	c->master->reloading++;
	timer_set(c->master->loop, &a->patience, RELOAD_PATIENCE_MS);
}

void
control_on_done(struct control *c, struct message_view *v)
{
	uint64_t id = message_get_u(v), status = message_get_u(v);
	struct str text = message_get_s(v);

	list_for_each(n, &c->askers) {
		struct asker *a = list_entry(n, struct asker, node);

		if (a->id == id && id) {
			asker_answer(a, (enum control_status)(status & 0xff), text);
			return;
		}
	}
}

void
control_admin_ended(struct control *c)
{
	control_done(c, WAITS_FOR_ADMIN, CONTROL_REFUSED, STR("admin ended before it answered"));
}

/* ---- askers who wait */

void
control_done(struct control *c, enum control_wait what, unsigned status, struct str text)
{
	if (c == NULL)
		return;
	list_for_each(n, &c->askers)
	{
		struct asker *a = list_entry(n, struct asker, node);

		if (a->waits == what)
			asker_say(a, (enum control_status)status, text);
	}
}

void
control_next_begins(struct control *c)
{
	if (c == NULL)
		return;
	list_for_each(n, &c->askers)
	{
		struct asker *a = list_entry(n, struct asker, node);

		if (a->waits == WAITS_FOR_NEXT_RESTART)
			a->waits = WAITS_FOR_RESTART;
	}
}

void
control_reload_now(struct control *c)
{
	if (c == NULL)
		return;
	list_for_each(n, &c->askers)
	{
		struct asker *a = list_entry(n, struct asker, node);

		if (a->waits == WAITS_TO_RELOAD)
			asker_reload(a);
	}
}

/* ---- from one generation to another */

void
asker_pass_on(struct asker *a, struct link *l)
{
	struct strb b = {0};

	handover_begin(&b, HANDOVER_REQUEST);
	handover_put_s(&b, FIELD_REQUEST, strb_str(&a->packet));
	handover_put_u(&b, FIELD_HELD_BACK, a->waits == WAITS_FOR_NEXT_RESTART);
	link_send(l, &b, a->fd);
	asker_free(a);
}

void
control_pass_on(struct control *c, struct link *l)
{
	if (c == NULL)
		return;
	list_for_each(n, &c->askers)
	{
		struct asker *a = list_entry(n, struct asker, node);

		if (a->waits == WAITS_FOR_NEXT_RESTART || a->waits == WAITS_TO_RELOAD)
			asker_pass_on(a, l);
	}
}
