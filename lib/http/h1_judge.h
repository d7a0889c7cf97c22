/*
 * http-parser as judge of framing: it has to come to the same end as our
 * own scan.  The only place that knows that library.
 *
 * Of a head it reads what says where the message ends, as it was
 * received: method, version, status, and the lines Connection,
 * Content-Length, Proxy-Connection, Transfer-Encoding and Upgrade.  Where
 * a line begins and ends is not in doubt: the scan lets no CR or LF pass
 * but the pair that ends one.  (The fuzzer compares boundaries with
 * http-parser on whole messages.)  Of chunks, and of what lasts until the
 * connection's end, it reads every byte; of a body whose length was said
 * it has said the same length.
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

/* Begins a message.  Its head p[0..n) and what we think of it: false when the judge thinks otherwise. */
bool h1_judge_head(struct h1_judge *j, const struct h1_parse *p, const struct h1_message *m,
    const char *head, size_t n);
/* Bytes of the body and its framing, in order; false when they are wrong. */
bool h1_judge_bytes(struct h1_judge *j, const char *p, size_t n);
/* What is left of the chunk or body. */
uint64_t h1_judge_left(const struct h1_judge *j);

#endif
