/* What server.c (accepting, limits), connection.c and exchange.c share. */
#ifndef WEB_SERVER_PRIVATE_H
#define WEB_SERVER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/web/request.h"
#include "lib/base/list.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/http/codec.h"
#include "lib/net/conn.h"
#include "shm/block.h"

#define WEB_CONNECTIONS 256
#define WEB_BODY_MAX (1024 * 1024)
#define WEB_REQUEST_MS 30000 /* a request must be complete after this */
#define WEB_IDLE_MS 300000   /* between requests */
#define WEB_STALL_MS 60000   /* an answer of which nothing leaves */

struct web {
	struct admin *a;
	struct io io;
	int fd;
	bool unix_socket;
	bool ending; /* freed with its last connection */
	struct list connections;
	unsigned count;
	struct codec_config codec;
	struct http_stats *http;
	struct listener_stats *listener;
	struct listener_http_stats *listener_http;
};

/* Owned by its web; freed from the loop after conn says closed. */
struct web_connection {
	struct list node;
	struct web *web;
	struct io io;
	struct conn conn;
	struct codec *codec; /* NULL until the first bytes told HTTP/1 from HTTP/2 */
	struct list exchanges;
	struct flush flush;
	struct timer timer;
	uint64_t opened_ns;
	bool receiving; /* the clock that runs is that of a request */
	bool remote_ended;
	bool closing; /* close when the codec's last output is written */
};

/* Takes fd. */
void web_connection_open(struct web *w, int fd);
void web_connection_abort(struct web_connection *c);
/* An exchange began, was answered, or ended: which clock runs now. */
void web_connection_rearm(struct web_connection *c);

/* One request and its answer.  Owned by its connection. */
struct exchange;

void exchange_begin(struct web_connection *c, struct codec_stream *s);
/* Of a node of web_connection.exchanges. */
bool exchange_is_receiving(struct list *node);

#endif
