/*
 * What is known of one request, for the access log, header values and
 * stats.  Lives in the stream; strings and maps are borrowed from its
 * arena, its connection or the snapshot it holds.
 */
#ifndef HCM_STREAM_INFO_H
#define HCM_STREAM_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/http/codec.h"

struct address;
struct headers;

enum response_flag {
#define FLAG(id, letters, name) FLAG_BIT_##id,
#include "worker/access_log/flags.def"
#undef FLAG
	RESPONSE_FLAGS,
};
#define FLAG(id, letters, name) static const uint32_t FLAG_##id = 1u << FLAG_BIT_##id;
#include "worker/access_log/flags.def"
#undef FLAG

struct stream_info {
	uint64_t start_wall_ns, start_ns; /* first byte of the request; wall and monotonic */
	uint64_t request_done_ns;	  /* last byte of the request; 0 = not yet */
	uint64_t response_first_ns;	  /* first byte of the upstream's response; 0 = none */
	uint64_t end_ns;		  /* the stream's end; 0 = still alive */
	enum http_protocol protocol;
	const struct headers *request, *response, *trailers; /* NULL until known */
	unsigned status;				     /* 0: no response headers were sent */
	uint32_t flags;					     /* FLAG_xx */
	struct str details;				     /* RESPONSE_CODE_DETAILS; {0} = "-" */
	uint64_t bytes_in, bytes_out;			     /* body */
	struct str route_name, cluster_name;
	const struct address *upstream; /* host of the last attempt, NULL */
	unsigned attempts;		/* of the router; 0: it made none */
	struct str transport_failure;
	struct str termination; /* CONNECTION_TERMINATION_DETAILS */
	uint64_t connection_id;
	const struct address *local, *remote, *direct_remote; /* remote: after XFF */
	const char *hostname;				      /* of this machine */
	bool health_check; /* marked by the health_check filter */
};

#endif
