#include "conf/names.h"

#include <stdio.h>
#include <string.h>

void
address_write(const Envoy__Config__Core__V3__Address *a, char out[ADDRESS_TEXT])
{
	const Envoy__Config__Core__V3__SocketAddress *s;

	switch (a->address_case) {
	case ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS:
		s = a->socket_address;
		snprintf(out, ADDRESS_TEXT, strchr(s->address, ':') ? "[%.100s]:%u" : "%.100s:%u",
		    s->address, s->port_value);
		break;
	case ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_PIPE:
		snprintf(out, ADDRESS_TEXT, "%.150s", a->pipe->path);
		break;
	default:
		out[0] = '\0';
	}
}

bool
address_is_fixed(const Envoy__Config__Core__V3__Address *a)
{
	return a->address_case != ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS ||
	       a->socket_address->port_value != 0;
}

void
listener_name_write(const Envoy__Config__Listener__V3__Listener *l, char *out, size_t size)
{
	char address[ADDRESS_TEXT] = "";

	if (!l->name[0] && l->address)
		address_write(l->address, address);
	snprintf(out, size, "%s", l->name[0] ? l->name : address);
}
