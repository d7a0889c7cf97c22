/*
 * Who is the client, and which headers may be believed: trusted address,
 * x-forwarded-for and -proto, x-envoy-*, x-request-id, via.  Runs once a
 * request, before the route is chosen, and again on the response's side.
 */
#ifndef HCM_FORWARD_H
#define HCM_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/http/headers.h"
#include "lib/net/address.h"

enum server_header {
	SERVER_OVERWRITE,
	SERVER_APPEND_IF_ABSENT,
	SERVER_PASS_THROUGH,
};

/* Part of an HCM's configuration; immutable. */
struct forward_config {
	bool use_remote_address, skip_xff_append;
	uint32_t trusted_hops;
	bool ipv4_mapped; /* write IPv4 addresses as IPv4-mapped IPv6 ones */
	bool add_user_agent;
	bool generate_request_id, preserve_request_id, request_id_in_response;
	bool append_forwarded_port;
	bool internal_unix;
	struct cidr *internal; /* none: no address is internal */
	unsigned internal_n;
	struct str via;	   /* "" when not given */
	struct str scheme; /* scheme_to_overwrite, "" when not given */
	struct str node_cluster, node_id;
	struct str server_name;
	struct header server_line; /* the same; without a name when it cannot be a line */
	enum server_header server_header;
};

/* One request; the first part is given, the second found out. */
struct forward {
	const struct forward_config *config;
	const struct address *peer, *local;
	struct str peer_ip; /* text of peer, no port; "" for a Unix socket; borrowed */
	bool tls;
	bool upgrade; /* keeps connection and upgrade */

	struct address *found;        /* room for one */
	const struct address *remote; /* the trusted client: peer, or found */
	bool internal;
};

void forward_request(struct forward *f, struct headers *h);

/* `request`: NULL when its headers never came.  `upgraded`: a 101 keeps connection and upgrade.
 * `date_line`: for a response without one; may be empty when it has one. */
void forward_response(const struct forward_config *c, struct headers *h,
    const struct headers *request, bool upgraded, struct str date_line);

/* Connection, what it names, and the other headers that are for one hop only. */
void forward_strip_hops(struct headers *h, bool upgrade);

#endif
