/*
 * What a scanned HTTP/1 head means: how its body is framed, whether the
 * connection lives on, where a request goes.  Brings the header map into
 * its inner shape: pseudo-headers complete, hop-by-hop headers and what
 * Connection names gone, one canonical content-length or none.
 */
#ifndef HTTP_H1_MESSAGE_H
#define HTTP_H1_MESSAGE_H

#include "lib/http/h1_parse.h"

enum h1_framing {
	H1_NO_BODY,
	H1_LENGTH,
	H1_CHUNKED,
	H1_UNTIL_CLOSE, /* a response's body, or a tunnel */
};

struct h1_message {
	enum h1_framing framing;
	uint64_t length; /* of H1_LENGTH */
	bool close;      /* the sender ends the connection after this message, or wants it ended */
	bool tunnel;     /* a request that asks for one (Upgrade, CONNECT), a response that grants it */
};

/* The parse is complete. */
enum h1_error h1_check_request(const struct h1_parse *p, struct h1_message *m);

/* What a response answers. */
struct h1_question {
	bool head;    /* HEAD: never a body */
	bool upgrade; /* 101 is a possible answer */
	bool connect; /* 2xx opens a tunnel */
};
enum h1_error h1_check_response(
    const struct h1_parse *p, const struct h1_question *q, struct h1_message *m);

#endif
