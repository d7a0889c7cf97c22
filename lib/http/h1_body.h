/*
 * A body on its way in: counts a length, on which the judge agreed; checks
 * every framing byte of chunks, and shows the judge the same bytes.
 * Payload moves as slices.
 */
#ifndef HTTP_H1_BODY_H
#define HTTP_H1_BODY_H

#include "lib/http/h1_judge.h"

struct h1_body {
	struct h1_judge *judge; /* borrowed from the connection */
	uint64_t left;          /* of the length, or of the chunk */
	uint32_t extension_bytes; /* of all chunks so far */
	uint8_t digits;
	uint8_t step;
};

void h1_body_start(struct h1_body *b, struct h1_judge *judge, const struct h1_message *m);

/* Moves payload from `in` to `out` until `in` has no more of it. */
enum h1_error h1_body_take(struct h1_body *b, struct buf *in, struct buf *out);
bool h1_body_complete(const struct h1_body *b);    /* a length was reached */
uint64_t h1_body_unseen(const struct h1_body *b);  /* what is left of a length, else 0 */
bool h1_body_at_trailers(const struct h1_body *b); /* the last chunk was read */

#endif
