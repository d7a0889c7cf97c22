/*
 * HTTP/1 on its way out.  Heads are made from the header map in one
 * reserved piece, bodies stay slices.  Whatever stands in the map, what
 * leaves is well formed: a field with a bad name or a control byte in its
 * value is left out, a request that cannot be written is not written.
 */
#ifndef HTTP_H1_ENCODE_H
#define HTTP_H1_ENCODE_H

#include "lib/base/buf.h"
#include "lib/http/headers.h"

struct h1_encode {
	bool proper_case;       /* Content-Length instead of content-length */
	bool upgrade;           /* connection and upgrade headers of the map are written */
	bool chunked;
	bool has_length;        /* the one content-length there is */
	uint64_t length;
	const struct header *length_as_is; /* it stands in the map and may be written like other fields */
	const char *connection; /* "close", "keep-alive"; NULL: no such header */
	bool absolute;          /* request: the target is a whole URL */
	bool http10;            /* response: to a client of 1.0 */
};

/* The length that the map says, if it says one. */
void h1_encode_length(struct h1_encode *e, const struct headers *h);
/* Another, or none. */
void h1_encode_set_length(struct h1_encode *e, bool has, uint64_t length);
void h1_encode_response(struct buf *out, const struct headers *h, const struct h1_encode *e);
/* False, and nothing written, when method, path or authority are no good. */
bool h1_encode_request(struct buf *out, const struct headers *h, const struct h1_encode *e);
/* One chunk; takes everything out of data, which is not empty. */
void h1_encode_chunk(struct buf *out, struct buf *data);
/* The end of chunks; trailers may be NULL. */
void h1_encode_last_chunk(struct buf *out, const struct headers *trailers, bool proper_case);

#endif
