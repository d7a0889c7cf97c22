/*
 * What the HTTP/2 codec offers beyond codec.h: the owner's clock and
 * the numbers an owner judges a connection by.  `c` must come from h2_server_new() or
 * h2_client_new().
 */
#ifndef HTTP_H2_H
#define HTTP_H2_H

#include <stdint.h>

#include "lib/http/codec.h"

/* details of on_broken when the bucket of received resets is empty (1000, then 33 a second). */
extern const char h2_too_many_resets[];

struct h2_tally {
	uint64_t streams;        /* opened by the other side (server) or by us (client) */
	uint64_t resets;         /* RST_STREAM received */
	uint64_t resets_early;   /* … before the stream's response had begun (server) */
	uint64_t resets_caused;  /* RST_STREAM that the other side's mistakes made us send */
};

/* Before each feed and output: the loop's clock.  Never told: no bucket refills,
 * so the bucket of resets is not enforced. */
void h2_set_now(struct codec *c, uint64_t now_ms);

const struct h2_tally *h2_tally(const struct codec *c);


#endif
