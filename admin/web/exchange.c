/*
 * One request and its answer: collects the request, asks the endpoint,
 * sends what it says, slice by slice, as fast as the client reads.
 */
#include "admin/admin.h"
#include "admin/web/endpoints.h"
#include "admin/web/guard.h"
#include "admin/web/log.h"
#include "admin/web/server_private.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/state.h"
#include "lib/http/date.h"

#define TURN_NS 3000000ull         /* of one answer in one turn */
#define TURN_BYTES (256 * 1024)

#define EXCHANGE_STATES(STATE)                                                                     \
	STATE(EXCHANGE_RECEIVING, "receiving", TO(EXCHANGE_ANSWERING) | TO(EXCHANGE_ENDED))        \
	STATE(EXCHANGE_ANSWERING, "answering", TO(EXCHANGE_ANSWERED) | TO(EXCHANGE_ENDED))         \
	STATE(EXCHANGE_ANSWERED, "answered", TO(EXCHANGE_ENDED))                                   \
	STATE(EXCHANGE_ENDED, "ended", 0)
enum exchange_state { EXCHANGE_STATES(STATE_ENUM) };
STATE_TABLE(exchange, EXCHANGE_STATES)

struct exchange {
	struct list node;
	struct admin *admin;
	struct web_connection *c; /* gone once the exchange has ended */
	struct codec_stream *stream; /* NULL once the codec forgot it */
	struct arena arena;
	const struct headers *headers;
	struct strb body;
	struct web_request request;
	struct web_reply reply;
	struct timer next; /* the next slice */
	enum exchange_state state;
	bool blocked;
	uint64_t began_ns, began_wall_ns, sent;
};

static void
exchange_enter(struct exchange *x, enum exchange_state next)
{
	STATE_CHECK(exchange, x->state, next);
	log_trace(LOG_ADMIN, "admin request: %s -> %s", exchange_state_names[x->state],
	    exchange_state_names[next]);
	x->state = next;
	web_connection_rearm(x->c);
}

bool
exchange_is_receiving(struct list *node)
{
	return list_entry(node, struct exchange, node)->state == EXCHANGE_RECEIVING;
}

/* ---- the answer */

static void
count_answer(struct exchange *x)
{
	struct http_stats *h = x->c->web->http;
	struct listener_http_stats *l = x->c->web->listener_http;
	struct stat_counter *const of_http[] = {&h->downstream_rq_1xx, &h->downstream_rq_2xx,
	    &h->downstream_rq_3xx, &h->downstream_rq_4xx, &h->downstream_rq_5xx};
	struct stat_counter *const of_listener[] = {&l->downstream_rq_1xx, &l->downstream_rq_2xx,
	    &l->downstream_rq_3xx, &l->downstream_rq_4xx, &l->downstream_rq_5xx};
	unsigned class = x->reply.status / 100 - 1;

	if (class >= ARRAY_LEN(of_http))
		return;
	stat_inc(&h->downstream_rq_completed);
	stat_inc(of_http[class]);
	stat_inc(&l->downstream_rq_completed);
	stat_inc(of_listener[class]);
}

static void
send_headers(struct exchange *x, bool end)
{
	struct web *w = x->c->web;
	struct headers h;

	headers_init(&h, &x->arena);
	headers_set_status(&h, x->reply.status);
	headers_add_id(&h, HDR_CONTENT_TYPE, str_of(web_content_type(x->reply.type)));
	headers_add_id(&h, HDR_CACHE_CONTROL, STR("no-cache, max-age=0"));
	headers_add(&h, STR("x-content-type-options"), STR("nosniff"));
	headers_add_id(&h, HDR_DATE, date_str(&x->arena, loop_wall_ns(w->a->loop)));
	headers_add_id(&h, HDR_SERVER, STR("envoy"));
	codec_send_headers(x->stream, &h, end);
}

static void
send_body(struct exchange *x, bool end)
{
	struct buf data;

	buf_init(&data);
	buf_add(&data, x->reply.body.p, x->reply.body.n);
	x->sent += x->reply.body.n;
	strb_reset(&x->reply.body);
	codec_send_data(x->stream, &data, end);
	buf_fini(&data);
}

/* Slices until this turn's share is used; the rest when the client and the loop have time. */
static void
send_more(void *arg)
{
	struct exchange *x = arg;
	uint64_t until = clock_mono_ns() + TURN_NS;
	bool more = x->reply.more != NULL;

	if (x->state != EXCHANGE_ANSWERING || x->stream == NULL || x->blocked)
		return;
	while (more && clock_mono_ns() < until && x->reply.body.n < TURN_BYTES)
		more = x->reply.more(x->reply.state, &x->reply.body);
	if (!more)
		exchange_enter(x, EXCHANGE_ANSWERED);
	else
		timer_set(x->c->web->a->loop, &x->next, 1);
	if (!more || x->reply.body.n)
		send_body(x, !more); /* may end the exchange: nothing after it */
}

static void
answer(struct exchange *x)
{
	struct web_reply *r = &x->reply;
	bool head = str_eqz(x->request.method, "HEAD");

	exchange_enter(x, EXCHANGE_ANSWERING);
	count_answer(x);
	if (head) {
		exchange_enter(x, EXCHANGE_ANSWERED);
		send_headers(x, true);
		return;
	}
	send_headers(x, false);
	if (r->more == NULL && x->stream) {
		exchange_enter(x, EXCHANGE_ANSWERED);
		send_body(x, true);
		return;
	}
	send_more(x);
}

/* An answer that is not the endpoint's. */
static void
refuse(struct exchange *x, unsigned status, const char *why)
{
	if (x->state != EXCHANGE_RECEIVING || x->stream == NULL)
		return;
	web_reply_text(&x->reply, status, why);
	answer(x);
}

static void
ask_endpoint(struct exchange *x)
{
	const struct headers *h = x->headers;
	const char *why = guard_refuses(h, x->c->web->unix_socket);

	if (x->state != EXCHANGE_RECEIVING)
		return;
	if (why) {
		refuse(x, 403, why);
		return;
	}
	endpoint_call(x->c->web->a, &x->request, &x->reply);
	answer(x);
}

/* ---- what the codec tells */

static void
read_request(struct exchange *x)
{
	const struct headers *h = x->headers;

	web_request_fini(&x->request);
	web_request_init(&x->request, &x->arena, headers_get(h, HDR_METHOD), headers_get(h, HDR_PATH),
	    headers_get(h, HDR_CONTENT_TYPE), strb_str(&x->body));
}

static void
send_continue(struct exchange *x)
{
	struct headers h;

	headers_init(&h, &x->arena);
	headers_set_status(&h, 100);
	codec_send_info(x->stream, &h);
}

static void
on_headers(void *arg, struct headers *h, bool end)
{
	struct exchange *x = arg;
	uint64_t length;

	x->headers = h;
	stat_inc(&x->c->web->http->downstream_rq_total);
	stat_inc(x->stream->protocol == HTTP_2 ? &x->c->web->http->downstream_rq_http2_total
					       : &x->c->web->http->downstream_rq_http1_total);
	read_request(x);
	if (end)
		ask_endpoint(x);
	else if (str_u64(headers_get(h, HDR_CONTENT_LENGTH), &length) && length > WEB_BODY_MAX) {
		x->stream->close_after = true;
		refuse(x, 413, "Payload Too Large");
	} else if (str_ieqz(headers_get(h, HDR_EXPECT), "100-continue"))
		send_continue(x);
}

static void
on_data(void *arg, struct buf *data, bool end)
{
	struct exchange *x = arg;
	size_t n = data->len;

	if (x->state != EXCHANGE_RECEIVING) {
		buf_drain(data, n);
		return;
	}
	if (x->body.n + n > WEB_BODY_MAX) {
		buf_drain(data, n);
		x->stream->close_after = true;
		refuse(x, 413, "Payload Too Large");
		return;
	}
	strb_reserve(&x->body, n);
	x->body.n += buf_peek(data, x->body.p + x->body.n, n);
	if (n)
		x->body.p[x->body.n] = '\0';
	buf_drain(data, n);
	if (end) {
		read_request(x);
		ask_endpoint(x);
	}
}

static void
on_trailers(void *arg, struct headers *trailers)
{
	struct exchange *x = arg;

	read_request(x);
	ask_endpoint(x);
}

static void
on_error(void *arg, const struct codec_error *e)
{
	struct exchange *x = arg;

	x->stream->close_after = true;
	refuse(x, e->status, "");
}

/* Its answer is on the way: what the answer promised happens now. */
static void
free_later(void *arg)
{
	struct exchange *x = arg;

	if (x->reply.after)
		x->reply.after(x->admin);
	web_request_fini(&x->request);
	web_reply_fini(&x->reply);
	strb_fini(&x->body);
	arena_fini(&x->arena);
	mem_free(x);
}

/* Nobody holds it any more but the loop. */
static void
end(struct exchange *x)
{
	struct web *w = x->c->web;

	x->stream = NULL;
	timer_stop(&x->next);
	list_remove(&x->node);
	stat_down(&w->http->downstream_rq_active);
	exchange_enter(x, EXCHANGE_ENDED);
	loop_defer(w->a->loop, free_later, x);
}

static void
on_reset(void *arg, enum stream_reset why, const char *details)
{
	struct exchange *x = arg;

	stat_inc(why == RESET_LOCAL ? &x->c->web->http->downstream_rq_tx_reset
				    : &x->c->web->http->downstream_rq_rx_reset);
	end(x);
}

static void
on_blocked(void *arg)
{
	((struct exchange *)arg)->blocked = true;
}

static void
on_unblocked(void *arg)
{
	struct exchange *x = arg;

	x->blocked = false;
	if (x->state == EXCHANGE_ANSWERING)
		timer_set(x->c->web->a->loop, &x->next, 1);
}

static void
log_exchange(const struct exchange *x)
{
	struct web *w = x->c->web;
	struct web_log_line line = {.started_wall_ns = x->began_wall_ns,
	    .headers = x->headers,
	    .protocol = x->stream->protocol,
	    .status = x->reply.status,
	    .received = x->body.n,
	    .sent = x->sent,
	    .duration_ms = (loop_now_ns(w->a->loop) - x->began_ns) / 1000000};

	stat_record(&w->http->downstream_rq_time, line.duration_ms);
	web_log_write(w->a, &line);
}

static void
on_done(void *arg)
{
	struct exchange *x = arg;

	log_exchange(x);
	end(x);
}

static const struct stream_events events = {.on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_error = on_error,
    .on_reset = on_reset,
    .on_blocked = on_blocked,
    .on_unblocked = on_unblocked,
    .on_done = on_done};

void
exchange_begin(struct web_connection *c, struct codec_stream *s)
{
	struct exchange *x = mem_new(struct exchange);

	x->admin = c->web->a;
	x->c = c;
	x->stream = s;
	arena_init(&x->arena);
	web_reply_init(&x->reply);
	timer_init(&x->next, send_more, x);
	x->began_ns = loop_now_ns(c->web->a->loop);
	x->began_wall_ns = loop_wall_ns(c->web->a->loop);
	list_push_back(&c->exchanges, &x->node);
	stat_up(&c->web->http->downstream_rq_active);
	s->events = &events;
	s->arg = x;
	s->arena = &x->arena;
}
