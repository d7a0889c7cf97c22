/*
 * What may stand in names, values, targets and authorities.
 *
 * One set of tables for all who read or write HTTP: the HTTP/1 parser and
 * encoder, and the HTTP/2 codec, whose library lets through what would be
 * a second request once it is written as HTTP/1.  Pure functions.
 */
#ifndef HTTP_VALIDATE_H
#define HTTP_VALIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/http/headers.h"
#include "lib/http/scan.h"

/* The byte in lower case when it may stand in a token, else 0. */
extern const unsigned char token_lower[256];
/* RFC 3986 reg-name and '%'; no brackets, no colon. */
extern const bool authority_char[256];

#define NAME_MAX_BYTES 65535 /* struct header keeps 16 bits */

bool valid_token(struct str s);     /* not empty */
bool valid_name(struct str name);   /* lower-case token that fits a struct header */
bool valid_value(struct str value); /* no control byte but TAB, no DEL */
/* Copies and looks in one go; false: a control byte is among them, perhaps a TAB. */
bool value_copy(char *to, struct str value);
/* Makes it valid: spaces for control bytes but TAB. */
void value_clean(char *p, size_t n);
bool valid_target(struct str s);    /* not empty */
/* host, host:port or [v6]:port; no userinfo.  Empty is valid. */
bool valid_authority(struct str s);
bool valid_method(struct str s, bool allow_custom);
/* Digits only, at most 2^63-1. */
bool valid_content_length(struct str s, uint64_t *out);

/*
 * Is this a request that HTTP/1 could carry without doubt?  For header
 * maps that came by HTTP/2, after the library's own checks and before a
 * CONNECT is turned into its inner shape.  NULL, or the name of the guard
 * that refuses it: "method", "scheme", "target", "asterisk", "authority",
 * "host", "header_name", "control_char", "connection_header",
 * "content_length".
 */
const char *validate_request_headers(const struct headers *h, bool allow_custom_methods);
/* The same for responses; also "status". */
const char *validate_response_headers(const struct headers *h);
/* And for trailers of both; also "trailer" (a name that has no place there). */
const char *validate_trailers(const struct headers *t);
/* Names that must not come as a trailer: framing, routing, credentials, hop by hop. */
bool trailer_forbidden(enum header_id id);

#endif
