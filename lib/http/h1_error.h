/* The reasons why HTTP/1 bytes are refused: h1_errors.def as C. */
#ifndef HTTP_H1_ERROR_H
#define HTTP_H1_ERROR_H

#include "lib/http/codec.h"

enum h1_error {
	H1_OK,
#define H1_GUARD(id, status, stat, details) H1_##id,
#define H1_LIMIT(id, status, details) H1_##id,
#include "lib/http/h1_errors.def"
#undef H1_GUARD
#undef H1_LIMIT
};

/* Static. */
const struct codec_error *h1_error_info(enum h1_error e);
/* Counts it where its row says; stats may be NULL. */
void h1_error_count(struct http1_codec_stats *stats, enum h1_error e);

#endif
