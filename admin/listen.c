#include "admin/listen.h"

#include "admin/admin.h"
#include "admin/config/address.h"
#include "lib/ipc/listen.h"

static void
ask(struct admin *a, struct str key, unsigned flags, uint32_t backlog, uint32_t mode,
    struct str name)
{
	struct message m;

	message_init(&m, MSG_LISTEN);
	message_s(&m, key);
	message_u(&m, flags);
	message_u(&m, backlog);
	message_u(&m, mode);
	message_s(&m, name);
	admin_send(a, &m);
}

void
listen_ask(struct admin *a, const struct store_listener *l)
{
	const Envoy__Config__Listener__V3__Listener *m = l->message;
	const Envoy__Config__Core__V3__Address *at = m->address;
	bool pipe = at->address_case == ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_PIPE;
	bool own_each = !pipe && (m->enable_reuse_port == NULL || m->enable_reuse_port->value);
	unsigned flags = own_each ? LISTEN_REUSE_PORT : 0;

	if (!pipe && at->socket_address->ipv4_compat)
		flags |= LISTEN_IPV4_COMPAT;
	ask(a, l->key, flags,
	    m->tcp_backlog_size ? m->tcp_backlog_size->value : LISTEN_BACKLOG_DEFAULT,
	    pipe ? at->pipe->mode : LISTEN_MODE_DEFAULT, l->name);
}

void
listen_ask_admin_port(
    struct admin *a, const Envoy__Config__Bootstrap__V3__Bootstrap *b, struct str key)
{
	const Envoy__Config__Core__V3__Address *at = b->admin->address;
	bool pipe = at->address_case == ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_PIPE;

	ask(a, key,
	    LISTEN_ADMIN | (!pipe && at->socket_address->ipv4_compat ? LISTEN_IPV4_COMPAT : 0),
	    LISTEN_BACKLOG_DEFAULT, pipe ? at->pipe->mode : LISTEN_MODE_DEFAULT, STR("admin"));
}

void
listen_give_up(struct admin *a, struct str key)
{
	struct message m;

	message_init(&m, MSG_UNLISTEN);
	message_s(&m, key);
	admin_send(a, &m);
}

int
listen_admin_key(
    struct strb *out, const Envoy__Config__Bootstrap__V3__Bootstrap *b, struct err *err)
{
	struct address at;
	char text[ADDRESS_TEXT];

	if (b->admin == NULL || b->admin->address == NULL)
		return 0;
	if (address_of_message(&at, b->admin->address, err) < 0)
		return err_in(err, "admin.address");
	listen_key(out, str_make(text, address_format(&at, text)), STR("admin"));
	return 0;
}

int
listen_check(const struct store *s, struct str admin_key, struct err *err)
{
	for (size_t i = 0; i < s->listeners.len; i++) {
		const struct store_listener *l = &s->listeners.at[i];

		if (l->on_port && str_eq(l->key, admin_key))
			return err_set(err,
			    "listener '" STR_FMT "' has the address of the admin port",
			    STR_ARG(l->name));
		for (size_t k = 0; k < i && l->on_port; k++)
			if (s->listeners.at[k].on_port && str_eq(s->listeners.at[k].key, l->key))
				return err_set(err,
				    "error adding listener: '" STR_FMT
				    "' has duplicate address '" STR_FMT "' as existing listener",
				    STR_ARG(l->name), STR_ARG(l->address));
	}
	return 0;
}
