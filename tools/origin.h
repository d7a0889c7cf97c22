/*
 * What the files of tools/origin share: a connection and the request it
 * is at.  origin.c has the sockets, origin_read.c reads what comes,
 * origin_answer.c writes what goes; the last two know no sockets.
 */
#ifndef TOOLS_ORIGIN_H
#define TOOLS_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/list.h"
#include "lib/base/str.h"

#define HEAD_MAX 65536
#define READ_ROOM 65536
#define OUT_HIGH (1u << 20) /* stop reading above this */

enum body_kind {
	BODY_NONE,
	BODY_LENGTH,
	BODY_CHUNKED,
};

enum chunk_state {
	CHUNK_SIZE,
	CHUNK_DATA,
	CHUNK_END, /* CRLF behind the data */
	CHUNK_TRAILER,
};

/* What the URL and the head of the request at hand ask for. */
struct request {
	struct str method, target, path;
	bool head, upload, echo_body, websocket;
	unsigned status, delay_ms;
	bool has_size, has_seed, chunked, close;
	uint64_t size, seed;
	struct strb extra; /* header lines */
	enum body_kind body;
	uint64_t body_left; /* of the length or of the chunk */
	enum chunk_state chunk;
	uint64_t body_bytes, body_hash;
};

enum step {
	READING_HEAD,
	READING_BODY,
	WAITING,   /* delay_ms */
	WRITING,   /* a generated body */
	SOCKET,    /* a WebSocket */
};

struct client {
	struct list node;
	int fd;
	enum step step;
	struct strb in, out;
	size_t in_at, out_at;     /* how much of each is done with */
	struct strb head;         /* of the request at hand: slices point into it */
	struct request r;
	uint64_t due_ms;          /* of WAITING */
	uint64_t left;            /* of WRITING */
	bool generated_chunked;
	bool ending;              /* close when all is written */
	bool eof;
	unsigned polled;          /* what epoll is told */
};

extern const char *origin_name;
extern uint64_t origin_requests; /* so far */
extern struct list origin_waiting; /* clients at WAITING */

void answer_init(void);             /* builds the page at "/" */
void answer_put_plain(struct client *c); /* that page, ready made */
/* The whole answer, or its head and the promise of a generated body (step WRITING). */
void answer_put(struct client *c);
void answer_put_head(struct client *c, const char *type, uint64_t length, bool chunked);
void answer_generate(struct client *c); /* adds the next pieces while there is room */

/* All that the input allows: 0, or -1 to cut the connection. */
int read_advance(struct client *c);

#endif
