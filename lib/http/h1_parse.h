/*
 * The strict pre-scan of an HTTP/1 head or trailer section: one pass, left
 * to right, the first wrong byte decides.  It stops where bytes run out
 * and goes on there when more came, so that a head may drip in byte by
 * byte.  Slices of what it finds go into a header map; names are put into
 * lower case where they lie.
 */
#ifndef HTTP_H1_PARSE_H
#define HTTP_H1_PARSE_H

#include "lib/http/h1_error.h"

enum h1_part {
	H1_REQUEST,
	H1_RESPONSE,
	H1_TRAILERS,
};

enum h1_progress {
	H1_MORE,
	H1_COMPLETE,
	H1_FAILED,
};

#define H1_FRAMING_LINES 4

/* A line of the head, with its CRLF: where it lies behind base. */
struct h1_line {
	uint32_t at, len, name_len;
};

struct h1_parse {
	struct headers *headers;           /* borrowed; filled */
	const struct codec_config *config; /* borrowed; limits */
	enum h1_part part;
	enum h1_error error;               /* of H1_FAILED */
	char *base;                        /* where the bytes lay at the last call */
	uint32_t at;                       /* scanned so far; complete: length of the part */
	uint32_t mark;                     /* where the line, name or target begins */
	uint32_t name_len;
	uint32_t target_at, target_len;
	uint32_t host_at, host_len;        /* of the last Host of a request: it is not in the map */
	uint32_t hosts;
	uint32_t fields;                   /* lines so far */
	uint16_t status;                   /* of a response */
	uint8_t method_len;
	uint8_t minor;                     /* HTTP/1.<minor> */
	uint8_t step;
	bool careful;                      /* each field is looked at by its name */
	bool drop;                         /* and dropped */
	/* Lines that may decide where the message ends; counted even where there is no room. */
	uint32_t framing_lines;
	struct h1_line framing[H1_FRAMING_LINES];
};

/* A request's map begins with four pseudo-headers: method, path, authority, scheme (the two in the
 * middle are empty until h1_check_request()); a response's with :status. */
void h1_parse_start(struct h1_parse *p, enum h1_part part, struct headers *headers,
    const struct codec_config *config);
/* All bytes from the beginning of the part, in one piece; they may have moved since the last call
 * but not changed. */
enum h1_progress h1_parse(struct h1_parse *p, char *base, size_t n);

#endif
