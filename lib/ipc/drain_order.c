#include "lib/ipc/drain_order.h"

#include "lib/ipc/channel.h"
#include "lib/ipc/handover.h"

const char *const drain_kind_names[DRAIN_KINDS] = {
#define KIND_NAME(id, name) name,
    DRAIN_KINDS_OF(KIND_NAME)
#undef KIND_NAME
};

static uint32_t
seconds_of(uint64_t v)
{
	return v < DRAIN_NO_DEADLINE ? (uint32_t)v : DRAIN_NO_DEADLINE;
}

void
drain_order_until(struct drain_order *o, uint64_t deadline_s)
{
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		o->deadline_s[k] = seconds_of(deadline_s);
}

uint32_t
drain_order_last_s(const struct drain_order *o)
{
	uint32_t last = 0;

	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		if (o->deadline_s[k] > last)
			last = o->deadline_s[k];
	return last;
}

static bool
find_kind(struct str name, enum drain_kind *kind)
{
	for (unsigned k = 0; k < DRAIN_KINDS; k++) {
		if (str_eqz(name, drain_kind_names[k])) {
			*kind = (enum drain_kind)k;
			return true;
		}
	}
	return false;
}

int
drain_deadline_parse(struct str pair, enum drain_kind *kind, uint32_t *seconds, struct err *err)
{
	struct str rest = pair, name;
	uint64_t v;

	if (!str_cut(&rest, '=', &name) || name.n == pair.n)
		return err_set(err, "'" STR_FMT "' is not KIND=S", STR_ARG(pair));
	if (!find_kind(name, kind))
		return err_set(
		    err, "'" STR_FMT "' is none of h1, h2, websocket, tcp", STR_ARG(name));
	if (!str_u64(rest, &v) || v >= DRAIN_NO_DEADLINE)
		return err_set(err, "'" STR_FMT "' is not a number of seconds", STR_ARG(rest));
	*seconds = (uint32_t)v;
	return 0;
}

/* ---- to workers: how many kinds, then their seconds; somebody who knows of none says 0 */

void
drain_order_put(struct message *m, const struct drain_order *o)
{
	message_u(m, o->seconds);
	message_u(m, o->immediate);
	message_u(m, o->another_serves);
	message_u(m, DRAIN_KINDS);
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		message_u(m, o->deadline_s[k]);
}

void
drain_order_get(struct drain_order *o, struct message_view *v)
{
	uint64_t kinds;

	o->seconds = message_get_u(v);
	o->immediate = message_get_u(v) != 0;
	o->another_serves = message_get_u(v) != 0;
	drain_order_until(o, DRAIN_NO_DEADLINE);
	kinds = message_get_u(v);
	for (unsigned k = 0; k < DRAIN_KINDS && k < kinds; k++)
		o->deadline_s[k] = seconds_of(message_get_u(v));
}

/* ---- to another master: by name, as its kinds may be others */

void
drain_order_pack(struct strb *packet, const struct drain_order *o)
{
	struct strb kinds = {0};

	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		strb_printf(
		    &kinds, "%s%s=%u", k ? " " : "", drain_kind_names[k], o->deadline_s[k]);
	handover_put_u(packet, FIELD_SECONDS, o->seconds);
	handover_put_u(packet, FIELD_IMMEDIATE, o->immediate);
	handover_put_u(packet, FIELD_DEADLINE_S, drain_order_last_s(o));
	handover_put_s(packet, FIELD_DEADLINES, strb_str(&kinds));
	strb_fini(&kinds);
}

void
drain_order_unpack(struct drain_order *o, const struct handover_packet *p)
{
	struct str rest = handover_s(p, FIELD_DEADLINES), pair;
	enum drain_kind kind;
	struct err err;
	uint32_t s;

	o->seconds = handover_u(p, FIELD_SECONDS);
	o->immediate = handover_u(p, FIELD_IMMEDIATE) != 0;
	o->another_serves = true;
	drain_order_until(o, handover_u(p, FIELD_DEADLINE_S));
	while (str_cut(&rest, ' ', &pair))
		if (drain_deadline_parse(pair, &kind, &s, &err) == 0)
			o->deadline_s[kind] = s;
}
