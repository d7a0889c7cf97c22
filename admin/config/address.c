#include "admin/config/address.h"

#define SOCKET ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS
#define PIPE ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_PIPE

int
address_of_message(struct address *a, const Envoy__Config__Core__V3__Address *m, struct err *err)
{
	if (m && m->address_case == PIPE)
		return address_from_pipe(a, str_of(m->pipe->path), err);
	if (m == NULL || m->address_case != SOCKET)
		return err_set(err, "no address");
	if (m->socket_address->port_value > UINT16_MAX)
		return err_set(err, "port %u is too large", m->socket_address->port_value);
	return address_from_ip(a, str_of(m->socket_address->address),
	    (uint16_t)m->socket_address->port_value, err);
}

const char *
address_name(const Envoy__Config__Core__V3__Address *m)
{
	struct address a;

	if (m == NULL || m->address_case != SOCKET)
		return NULL;
	if (address_from_ip(&a, str_of(m->socket_address->address), 0, NULL) == 0)
		return NULL;
	return m->socket_address->address;
}
