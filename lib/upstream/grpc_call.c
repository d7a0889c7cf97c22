#include "lib/upstream/grpc_call.h"

#include <stdio.h>

#include "lib/base/mem.h"
#include "lib/http/grpc_frame.h"
#include "lib/upstream/client.h"
#include "lib/upstream/cluster.h"

#include "envoy/config/core/v3/base.pb-c.h"

struct grpc_call {
	struct client *client;
	const struct grpc_call_events *events;
	void *arg;
	struct grpc_reader reader;
	bool answered;   /* response headers came */
	bool has_status;
	bool cancelled;  /* inside one of our own events */
	unsigned depth;  /* events being told */
	uint32_t status;
	struct strb text;
};

static void
call_free(struct grpc_call *g)
{
	grpc_reader_fini(&g->reader);
	strb_fini(&g->text);
	mem_free(g);
}

static void
note_status(struct grpc_call *g, const struct headers *h)
{
	struct str message;

	if (g->has_status || !grpc_status_get(h, &g->status))
		return;
	g->has_status = true;
	message = headers_get(h, HDR_GRPC_MESSAGE);
	strb_adds(&g->text, message);
}

static void
set_status(struct grpc_call *g, enum grpc_status status, const char *text)
{
	if (g->has_status)
		return;
	g->has_status = true;
	g->status = status;
	strb_addz(&g->text, text);
}

/* It is over from our side; what comes from the client after this is its own end. */
static void
end(struct grpc_call *g)
{
	client_cancel(&g->client);
	g->events->on_end(g->arg, g->status, strb_str(&g->text));
	call_free(g);
}

/* ---- what the client tells */

static void
on_sent(void *arg)
{
	struct grpc_call *g = arg;

	if (g->events->on_sent)
		g->events->on_sent(g->arg);
}

static void
on_headers(void *arg, struct headers *h, bool last)
{
	struct grpc_call *g = arg;
	unsigned http = headers_status(h);
	char text[64];

	g->answered = true;
	if (last)
		note_status(g, h);
	if (http != 200) {
		snprintf(text, sizeof(text), "HTTP status %u instead of 200", http);
		set_status(g, grpc_status_of_http(http), text);
	} else if (!last && !grpc_content_type(headers_get(h, HDR_CONTENT_TYPE))) {
		set_status(g, GRPC_UNKNOWN, "answer is not application/grpc");
	}
}

/* The events may cancel the call: then it is freed here, when nothing of it is on the stack. */
static void
give_messages(struct grpc_call *g)
{
	struct str message;
	struct err err;
	int got;

	while ((got = grpc_reader_next(&g->reader, &message, &err)) == 1) {
		g->depth++;
		g->events->on_message(g->arg, message);
		g->depth--;
		if (g->cancelled) {
			call_free(g);
			return;
		}
	}
	if (got < 0) {
		set_status(g, GRPC_INTERNAL, err.text);
		end(g);
	}
}

static void
on_data(void *arg, struct buf *data, bool last)
{
	struct grpc_call *g = arg;

	if (g->has_status) { /* an answer that is no gRPC */
		end(g);
		return;
	}
	grpc_reader_feed(&g->reader, data);
	give_messages(g);
}

static void
on_trailers(void *arg, struct headers *t)
{
	note_status(arg, t);
}

static void
on_end(void *arg, enum client_end why, const char *text)
{
	struct grpc_call *g = arg;

	g->client = NULL;
	if (why == CLIENT_COMPLETE)
		set_status(g, GRPC_UNKNOWN, "answer ended without a status");
	else
		set_status(g, GRPC_UNAVAILABLE, text);
	end(g);
}

static const struct client_events client_events = {
    .on_sent = on_sent,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_end = on_end,
};

/* ---- what the owner calls */

static void
add_metadata(struct headers *h, const struct grpc_call_options *o)
{
	Envoy__Config__Core__V3__HeaderValue *const *list = o->metadata;

	for (size_t i = 0; i < o->n_metadata; i++) {
		const Envoy__Config__Core__V3__HeaderValue *v = list[i];

		headers_set(h, arena_lower(h->arena, str_of(v->key)),
		    arena_str(h->arena, str_of(v->value)));
	}
}

static void
write_headers(struct headers *h, const struct cluster *c, const struct grpc_call_options *o)
{
	headers_add_id(h, HDR_METHOD, STR("POST"));
	headers_add_id(h, HDR_SCHEME, STR("http"));
	headers_add_id(h, HDR_PATH, arena_str(h->arena, o->path));
	headers_add_id(
	    h, HDR_AUTHORITY, arena_str(h->arena, o->authority.n ? o->authority : c->name));
	headers_add_id(h, HDR_TE, STR("trailers"));
	headers_add_id(h, HDR_CONTENT_TYPE, STR("application/grpc"));
	if (!o->skip_envoy_headers)
		headers_add_id(h, HDR_X_ENVOY_INTERNAL, STR("true"));
	add_metadata(h, o);
}

struct grpc_call *
grpc_call_start(struct cluster *c, const struct grpc_call_options *o,
    const struct grpc_call_events *events, void *arg)
{
	struct grpc_call *g = mem_new(struct grpc_call);

	g->events = events;
	g->arg = arg;
	grpc_reader_init(&g->reader, o->limit_bytes);
	g->client = client_new(c, &client_events, g);
	write_headers(client_headers(g->client), c, o);
	client_start(g->client, false);
	return g;
}

void
grpc_call_send(struct grpc_call *g, struct str message)
{
	struct buf b;

	buf_init(&b);
	grpc_frame_write(&b, message);
	client_send(g->client, &b, false);
	buf_fini(&b);
}

void
grpc_call_cancel(struct grpc_call **gp)
{
	struct grpc_call *g = *gp;

	*gp = NULL;
	if (g == NULL)
		return;
	client_cancel(&g->client);
	if (g->depth)
		g->cancelled = true;
	else
		call_free(g);
}
