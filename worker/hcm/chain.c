#include "worker/hcm/chain.h"

#include "lib/base/assert.h"
#include "worker/hcm/hcm_private.h"
#include "worker/hcm/http_filter.h"
#include "worker/hcm/stream_private.h"

void
chain_init(struct chain *c, struct stream *s, bool response)
{
	c->stream = s;
	c->response = response;
	buf_init(&c->held);
}

void
chain_fini(struct chain *c)
{
	buf_fini(&c->held);
}

void
chain_start(struct stream *s)
{
	const struct hcm_config *config = s->s.config;
	struct chain_filter *f = arena_alloc(&s->s.arena, config->filters_n * sizeof(*f));

	for (unsigned i = 0; i < config->filters_n; i++) {
		f[i].filter = config->filters[i].filter;
		f[i].self = f[i].filter->start
				? f[i].filter->start(&s->s, config->filters[i].config)
				: NULL;
	}
	s->request.filters = s->response.filters = f;
	s->request.n = config->filters_n;
	s->response.n = config->filters_see_response ? config->filters_n : 0;
}

/* ---- one filter */

static const struct chain_filter *
at(const struct chain *c, unsigned pos)
{
	return &c->filters[c->response ? c->n - 1 - pos : pos];
}

static enum filter_verdict
show_headers(const struct chain *c, unsigned pos, bool end)
{
	const struct chain_filter *f = at(c, pos);
	enum filter_verdict (*fn)(void *, struct headers *, bool) =
	    c->response ? f->filter->on_response_headers : f->filter->on_request_headers;

	return fn ? fn(f->self, c->headers, end) : FILTER_CONTINUE;
}

static bool
sees_data(const struct chain *c, unsigned pos)
{
	const struct http_filter *f = at(c, pos)->filter;

	return (c->response ? f->on_response_data : f->on_request_data) != NULL;
}

static enum filter_verdict
show_data(const struct chain *c, unsigned pos, struct buf *data, bool end)
{
	const struct chain_filter *f = at(c, pos);
	enum filter_verdict (*fn)(void *, struct buf *, bool) =
	    c->response ? f->filter->on_response_data : f->filter->on_request_data;

	return fn ? fn(f->self, data, end) : FILTER_CONTINUE;
}

static bool
sees_trailers(const struct chain *c, unsigned pos)
{
	const struct http_filter *f = at(c, pos)->filter;

	return (c->response ? f->on_response_trailers : f->on_request_trailers) != NULL;
}

static enum filter_verdict
show_trailers(const struct chain *c, unsigned pos)
{
	const struct chain_filter *f = at(c, pos);
	enum filter_verdict (*fn)(void *, struct headers *) =
	    c->response ? f->filter->on_response_trailers : f->filter->on_request_trailers;

	return fn ? fn(f->self, c->trailers) : FILTER_CONTINUE;
}

/* A response that no filter looks at. */
static bool
is_unseen(const struct chain *c)
{
	return c->response && c->n == 0;
}

/* The last filter of a request eats what it is shown. */
static bool
is_terminal(const struct chain *c, unsigned pos)
{
	return !c->response && pos + 1 == c->n;
}

/* ---- the limit of what may wait */

static void
pause_sender(struct chain *c, bool paused)
{
	if (c->sender_paused == paused)
		return;
	c->sender_paused = paused;
	if (!c->response) {
		stream_pause(c->stream, paused);
		return;
	}
	for (unsigned i = c->stream->request.n; i-- > 0;)
		if (c->filters[i].filter->on_downstream_blocked)
			c->filters[i].filter->on_downstream_blocked(c->filters[i].self, paused);
}

static void
refuse(struct chain *c)
{
	struct stream *s = c->stream;

	if (c->response) {
		stat_inc(&s->s.config->stats->rs_too_large);
		stream_local_reply(&s->s, 500, STR("Internal Server Error"), 0,
		    STR("response_payload_too_large"), NULL, NULL);
		return;
	}
	stat_inc(&s->s.config->stats->downstream_rq_too_large);
	stream_local_reply(
	    &s->s, 413, STR("Payload Too Large"), 0, STR("request_payload_too_large"), NULL, NULL);
}

static void
check_limit(struct chain *c)
{
	uint32_t limit = c->stream->s.config->buffer_limit;

	if (c->held.len <= limit || c->own)
		return;
	if (c->buffering)
		refuse(c);
	else
		pause_sender(c, true);
}

/* ---- along the filters; each gives false when the message stopped or was replaced */

static void
stop(struct chain *c, unsigned pos, bool buffering)
{
	c->stopped = true;
	c->stop_at = pos;
	c->buffering = buffering;
}

static bool
nothing_follows(const struct chain *c)
{
	return c->ended && c->trailers == NULL && buf_empty(&c->held);
}

/* A response goes to its codec. */
static void
leave_headers(struct chain *c, bool end)
{
	c->headers_at = c->n + 1;
	stream_send_headers(c->stream, end);
}

static bool
run_headers(struct chain *c)
{
	uint32_t run = c->run;

	while (c->headers_at < c->n) {
		unsigned pos = c->headers_at++;
		enum filter_verdict v = show_headers(c, pos, nothing_follows(c));

		if (c->run != run || c->closed)
			return false;
		if (v == FILTER_STOP && !is_terminal(c, pos)) {
			stop(c, pos, false);
			return false;
		}
	}
	if (c->response && c->headers_at == c->n)
		leave_headers(c, nothing_follows(c));
	return c->run == run && !c->closed;
}

/* Bytes that a filter keeps until it goes on. */
static void
hold(struct chain *c, struct buf *data)
{
	buf_move(&c->held, data);
	check_limit(c);
}

static void
run_data(struct chain *c, unsigned pos, struct buf *data, bool end)
{
	unsigned last = c->stopped ? c->stop_at + 1 : c->n;
	uint32_t run = c->run;

	for (; pos < last; pos++) {
		enum filter_verdict v = show_data(c, pos, data, end);

		if (c->run != run || c->closed) {
			buf_drain(data, data->len);
			return;
		}
		if (is_terminal(c, pos)) {
			buf_drain(data, data->len);
			return;
		}
		if (c->stopped && pos == c->stop_at) {
			bool goes_on = v == FILTER_CONTINUE && sees_data(c, pos);

			c->buffering |= v == FILTER_STOP;
			hold(c, data);
			if (goes_on && c->run == run && !c->closed)
				chain_continue(c);
			return;
		}
		if (v == FILTER_STOP) {
			stop(c, pos, true);
			hold(c, data);
			return;
		}
	}
	if (c->response)
		stream_send_data(c->stream, data, end);
	buf_drain(data, data->len);
}

static void
run_trailers(struct chain *c)
{
	unsigned last = c->stopped ? c->stop_at + 1 : c->n;
	uint32_t run = c->run;

	while (c->trailers_at < last) {
		unsigned pos = c->trailers_at++;
		enum filter_verdict v = show_trailers(c, pos);

		if (c->run != run || c->closed)
			return;
		if (c->stopped && pos == c->stop_at) {
			if (v == FILTER_CONTINUE && sees_trailers(c, pos))
				chain_continue(c);
			return;
		}
		if (v == FILTER_STOP && !is_terminal(c, pos)) {
			stop(c, pos, true);
			return;
		}
	}
	if (c->response && c->trailers_at == c->n) {
		c->trailers_at++;
		stream_send_trailers(c->stream);
	}
}

/* ---- the way in */

void
chain_headers(struct chain *c, struct headers *h, bool end)
{
	ASSERT(!c->started);
	if (c->closed)
		return;
	c->started = true;
	c->headers = h;
	c->ended = end;
	if (is_unseen(c))
		leave_headers(c, end);
	else
		run_headers(c);
}

void
chain_data(struct chain *c, struct buf *data, bool end)
{
	if (c->closed || c->ended) {
		buf_drain(data, data->len);
		return;
	}
	c->ended = end;
	if (!is_unseen(c)) {
		run_data(c, 0, data, end);
		return;
	}
	stream_send_data(c->stream, data, end);
	buf_drain(data, data->len);
}

void
chain_trailers(struct chain *c, struct headers *t)
{
	if (c->closed || c->ended)
		return;
	c->ended = true;
	c->trailers = t;
	run_trailers(c);
}

bool
chain_is_blind(const struct chain *c)
{
	unsigned n = c->response ? c->n : c->n - 1;

	if (c->stopped || c->closed)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (sees_data(c, i))
			return false;
	return true;
}

void
chain_continue(struct chain *c)
{
	struct buf held;
	unsigned next = c->stop_at + 1;
	uint32_t run = c->run;
	bool end = c->ended && c->trailers == NULL;
	bool headers_end = nothing_follows(c) && c->headers_at <= next;

	if (!c->stopped || c->closed)
		return;
	c->stopped = c->buffering = false;
	run_headers(c);
	if (c->run != run || c->closed)
		return;
	if (!headers_end && (!buf_empty(&c->held) || end)) {
		buf_init(&held);
		buf_move(&held, &c->held);
		run_data(c, next, &held, end);
		buf_fini(&held);
	}
	if (c->run != run || c->closed)
		return;
	if (c->trailers)
		run_trailers(c);
	if (!c->stopped && c->run == run)
		pause_sender(c, false);
}

void
chain_restart(struct chain *c)
{
	pause_sender(c, false);
	c->run++;
	c->started = c->stopped = c->buffering = c->ended = false;
	c->headers_at = c->trailers_at = 0;
	c->headers = c->trailers = NULL;
	buf_drain(&c->held, c->held.len);
}

void
chain_close(struct chain *c)
{
	c->run++;
	c->closed = true;
	c->stopped = false;
	buf_drain(&c->held, c->held.len);
}
