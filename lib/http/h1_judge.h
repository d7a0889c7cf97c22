/*
 * http-parser as judge of framing: it reads the same bytes as our own
 * scan, without field callbacks, and has to come to the same end.  The
 * only place that knows that library.
 */
#ifndef HTTP_H1_JUDGE_H
#define HTTP_H1_JUDGE_H

#include <http_parser.h>

#include "lib/http/h1_message.h"

struct h1_judge {
	http_parser parser;
	bool complete; /* a message ended */
	uint8_t skip;  /* what on_headers_complete answers: 0 body as framed, 1 none, 2 tunnel */
};

/* Before each message. */
void h1_judge_start(struct h1_judge *j, bool response, bool allow_chunked_length);
/* The whole head p[0..n), and what we think of it: false when the judge thinks otherwise. */
bool h1_judge_head(struct h1_judge *j, const struct h1_parse *p, const struct h1_message *m,
    const char *head, size_t n);
/* Bytes of the body and its framing, in order; false when they are wrong. */
bool h1_judge_bytes(struct h1_judge *j, const char *p, size_t n);
/* What is left of the chunk or body. */
uint64_t h1_judge_left(const struct h1_judge *j);

#endif
