/*
 * What HTTP/1 costs without sockets: a request comes in at a server codec
 * and leaves by a client codec, its answer of 1 KiB goes the other way.
 * No output but the number of requests: run it under
 * `valgrind --tool=callgrind` with two counts and subtract.
 *
 *   micro_h1 REQUESTS
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/assert.h"
#include "lib/http/codec.h"

#define BODY 1024

struct proxy {
	struct codec *server, *client;
	struct codec_stream *downstream, *upstream;
	struct buf from_client, from_host, to_host, to_client;
	struct arena arena;
	bool flush_server, flush_client;
	unsigned done;
};

static const char request[] = "GET /index.html HTTP/1.1\r\n"
			      "Host: 127.0.0.1:8080\r\n"
			      "User-Agent: micro/1.0\r\n"
			      "Accept: */*\r\n\r\n";

static const char response[] = "HTTP/1.1 200 OK\r\n"
			       "Server: origin\r\n"
			       "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
			       "Content-Type: text/plain\r\n"
			       "Content-Length: 1024\r\n\r\n";

static void
on_response(void *arg, struct headers *h, bool end)
{
	struct proxy *p = arg;

	headers_set_id(h, HDR_SERVER, STR("envoy"));
	codec_send_headers(p->downstream, h, end);
}

static void
on_response_data(void *arg, struct buf *data, bool end)
{
	struct proxy *p = arg;

	codec_send_data(p->downstream, data, end);
}

static void
on_upstream_done(void *arg)
{
	((struct proxy *)arg)->upstream = NULL;
}

static const struct stream_events upstream_events = {
    .on_headers = on_response,
    .on_data = on_response_data,
    .on_done = on_upstream_done,
};

static void
on_request(void *arg, struct headers *h, bool end)
{
	struct proxy *p = arg;

	p->upstream = codec_request(p->client);
	ASSERT(p->upstream);
	p->upstream->events = &upstream_events;
	p->upstream->arg = p;
	p->upstream->arena = &p->arena;
	headers_set_id(h, HDR_X_FORWARDED_PROTO, STR("http"));
	headers_set_id(h, HDR_X_REQUEST_ID, STR("0f9c0a36-7c2e-4b7c-9e53-0d8f4f5f2f11"));
	codec_send_headers(p->upstream, h, end);
}

static void
on_downstream_done(void *arg)
{
	struct proxy *p = arg;

	p->done++;
	arena_fini(&p->arena);
}

static const struct stream_events downstream_events = {
    .on_headers = on_request,
    .on_done = on_downstream_done,
};

static void
on_stream(void *arg, struct codec_stream *s)
{
	struct proxy *p = arg;

	p->downstream = s;
	s->events = &downstream_events;
	s->arg = p;
	s->arena = &p->arena;
}

static void
on_server_output(void *arg)
{
	((struct proxy *)arg)->flush_server = true;
}

static void
on_client_output(void *arg)
{
	((struct proxy *)arg)->flush_client = true;
}

static void
on_more(void *arg)
{
}

static void
on_broken(void *arg, const struct codec_error *e)
{
	fprintf(stderr, "broken: %s\n", e ? e->details : "in good order");
	exit(1);
}

static const struct codec_events server_events = {on_stream, on_server_output, on_more, on_broken};
static const struct codec_events client_events = {NULL, on_client_output, on_more, on_broken};

/* As a socket would fill it. */
static void
receive(struct buf *in, const char *head, size_t n, size_t body)
{
	size_t room;
	char *p = buf_reserve(in, BUF_SMALL, &room);

	memcpy(p, head, n);
	memset(p + n, 'x', body);
	buf_commit(in, n + body);
}

static void
flush(struct proxy *p)
{
	if (p->flush_client) {
		p->flush_client = false;
		codec_output(p->client, &p->to_host);
		buf_drain(&p->to_host, p->to_host.len);
	}
	if (p->flush_server) {
		p->flush_server = false;
		codec_output(p->server, &p->to_client);
		buf_drain(&p->to_client, p->to_client.len);
	}
}

int
main(int argc, char **argv)
{
	struct http1_codec_stats stats = {0};
	struct codec_config config = {.max_headers_bytes = 60 * 1024,
	    .max_headers_count = 100,
	    .high_watermark = 1 << 20,
	    .h1 = {.allow_absolute_url = true},
	    .h1_stats = &stats};
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
	struct proxy p = {0};

	p.server = h1_server_new(&config, &server_events, &p);
	p.client = h1_client_new(&config, &client_events, &p);
	buf_init(&p.from_client);
	buf_init(&p.from_host);
	buf_init(&p.to_host);
	buf_init(&p.to_client);
	arena_init(&p.arena);
	for (unsigned i = 0; i < n; i++) {
		receive(&p.from_client, request, sizeof(request) - 1, 0);
		codec_feed(p.server, &p.from_client);
		flush(&p);
		receive(&p.from_host, response, sizeof(response) - 1, BODY);
		codec_feed(p.client, &p.from_host);
		flush(&p);
	}
	ASSERT(p.done == n);
	codec_free(&p.server);
	codec_free(&p.client);
	printf("%u\n", p.done);
	return 0;
}
