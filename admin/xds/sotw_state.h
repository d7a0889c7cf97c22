/*
 * What one stream knows of one type of resource: the version that was
 * accepted last, the nonce of the last response, whether a request is
 * owed.  Knows no stream: the rules of state-of-the-world as pure code.
 *
 *   first request of a stream   last accepted version, no nonce
 *   accepted                    new version, its nonce
 *   refused                     old version, the nonce of what was refused, the reason
 *   names changed               old version, last nonce, the new names
 */
#ifndef XDS_SOTW_STATE_H
#define XDS_SOTW_STATE_H

#include <stdbool.h>

#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "lib/base/str.h"

struct sotw_state {
	struct strb version; /* accepted last; survives the stream */
	struct strb nonce;   /* of this stream's last response */
	struct strb refused; /* reason to be told; empty: none */
	bool owed;           /* a request is to be sent */
	bool asked;          /* this stream has asked for the type */
};

void sotw_state_fini(struct sotw_state *t);
void sotw_state_begin(struct sotw_state *t, bool wanted); /* a new stream */
void sotw_state_changed(struct sotw_state *t);            /* the set of names changed */
/* A response was judged; reasons are empty when it was accepted. */
void sotw_state_answered(
    struct sotw_state *t, struct str version, struct str nonce, struct str reasons);

/* The next request, borrowing from all the others. */
void sotw_state_request(struct sotw_state *t, Envoy__Service__Discovery__V3__DiscoveryRequest *out,
    Google__Rpc__Status *detail, char *type_url, char **names, size_t n);
void sotw_state_sent(struct sotw_state *t); /* it is not owed any more */

#endif
