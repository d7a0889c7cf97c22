/*
 * The shape of an answer of our own: headers and body for an ordinary
 * client, trailers-only for a gRPC one.
 */
#ifndef HCM_LOCAL_REPLY_H
#define HCM_LOCAL_REPLY_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/http/headers.h"

struct local_reply {
	unsigned status;
	struct str body; /* may be empty; borrowed */
	bool grpc;	 /* the request was gRPC */
	bool head;	 /* the request was HEAD: lengths are told, no body follows */
};

/* Fills h; what is to follow goes to body (empty: the headers are all). */
void local_reply_write(const struct local_reply *r, struct headers *h, struct buf *body);

#endif
