/* Filters that go on, stop, wait and buffer, in both directions, by script. */
#include "tests/unit/worker/world.h"

#include "worker/hcm/http_filter.h"
#include "worker/hcm/stream.h"

/* What a filter answers to each thing it is shown. */
struct script {
	char id;
	enum filter_verdict headers, data, trailers; /* of requests */
	enum filter_verdict r_headers, r_data;	     /* of responses */
	bool go_on_at_end;			     /* data: FILTER_CONTINUE once the end came */
	bool reply;				     /* answers 418 at the headers */
	const char *body; /* terminal: the response's body, in two pieces */
};

struct fake {
	const struct script *script;
	struct http_stream *s;
};

static struct strb trace; /* "Ah Bh Th" */
static struct http_stream *last;

static void
note(const struct fake *f, const char *what, size_t n, bool end)
{
	strb_printf(&trace, "%s%c%s", trace.n ? " " : "", f->script->id, what);
	if (n)
		strb_printf(&trace, "%zu", n);
	if (end)
		strb_addc(&trace, '.');
}

static void *
fake_start(struct http_stream *s, const void *config)
{
	struct fake *f = arena_new(&s->arena, struct fake);

	f->script = config;
	f->s = last = s;
	return f;
}

static enum filter_verdict
fake_headers(void *self, struct headers *h, bool end)
{
	struct fake *f = self;

	note(f, "h", 0, end);
	if (!f->script->reply)
		return f->script->headers;
	stream_local_reply(f->s, 418, STR("tea"), 0, STR("teapot"), NULL, NULL);
	return FILTER_STOP;
}

static enum filter_verdict
fake_data(void *self, struct buf *data, bool end)
{
	struct fake *f = self;

	note(f, "d", data->len, end);
	return f->script->go_on_at_end && end ? FILTER_CONTINUE : f->script->data;
}

static enum filter_verdict
fake_trailers(void *self, struct headers *t)
{
	struct fake *f = self;

	note(f, "t", 0, true);
	return f->script->go_on_at_end ? FILTER_CONTINUE : f->script->trailers;
}

static enum filter_verdict
fake_response_headers(void *self, struct headers *h, bool end)
{
	struct fake *f = self;

	note(f, "H", 0, end);
	return f->script->r_headers;
}

static enum filter_verdict
fake_response_data(void *self, struct buf *data, bool end)
{
	struct fake *f = self;

	note(f, "D", data->len, end);
	return f->script->go_on_at_end && end ? FILTER_CONTINUE : f->script->r_data;
}

static void
fake_done(void *self)
{
	note(self, "x", 0, false);
}

/* The terminal one answers when the request is complete. */
static void
respond(struct fake *f)
{
	struct headers *h = stream_new_headers(f->s);
	const char *body = f->script->body;
	size_t n = body ? strlen(body) : 0;
	struct buf data;

	headers_set_status(h, 200);
	stream_respond_headers(f->s, h, n == 0);
	buf_init(&data);
	if (n) {
		buf_add(&data, body, n / 2);
		stream_respond_data(f->s, &data, false);
		buf_add(&data, body + n / 2, n - n / 2);
		stream_respond_data(f->s, &data, true);
	}
	buf_fini(&data);
}

static enum filter_verdict
end_headers(void *self, struct headers *h, bool end)
{
	note(self, "h", 0, end);
	if (end)
		respond(self);
	return FILTER_STOP;
}

static enum filter_verdict
end_data(void *self, struct buf *data, bool end)
{
	note(self, "d", data->len, end);
	buf_drain(data, data->len);
	if (end)
		respond(self);
	return FILTER_STOP;
}

static enum filter_verdict
end_trailers(void *self, struct headers *t)
{
	note(self, "t", 0, true);
	respond(self);
	return FILTER_STOP;
}

static const struct http_filter fake = {
    .name = "fake",
    .start = fake_start,
    .on_request_headers = fake_headers,
    .on_request_data = fake_data,
    .on_request_trailers = fake_trailers,
    .on_response_headers = fake_response_headers,
    .on_response_data = fake_response_data,
    .on_done = fake_done,
};

/* Waits at headers without an eye for data. */
static const struct http_filter waiter = {
    .name = "waiter",
    .start = fake_start,
    .on_request_headers = fake_headers,
    .on_response_headers = fake_response_headers,
};

static const struct http_filter terminal = {
    .name = "terminal",
    .terminal = true,
    .start = fake_start,
    .on_request_headers = end_headers,
    .on_request_data = end_data,
    .on_request_trailers = end_trailers,
};

static void
use(struct world *w, const struct http_filter *a, const struct script *sa,
    const struct http_filter *b, const struct script *sb, const struct script *st)
{
	static struct filter_config filters[3];

	filters[0] = (struct filter_config){a, (void *)(uintptr_t)sa};
	filters[1] = (struct filter_config){b, (void *)(uintptr_t)sb};
	filters[2] = (struct filter_config){&terminal, (void *)(uintptr_t)st};
	w->listener->hcm->filters = filters;
	w->listener->hcm->filters_n = 3;
	w->listener->hcm->filters_see_response = true;
	strb_fini(&trace);
	dial(w);
}

#define PASS(c) (&(const struct script){.id = (c)})
#define assert_trace(text) assert_string_equal(strb_z(&trace), (text))

static const char get[] = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
static const char post[] = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n";
static const char chunked[] = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

static void
everybody_goes_on(void **state)
{
	struct world w;

	start(&w, "");
	use(&w, &fake, PASS('A'), &fake, PASS('B'), &(struct script){.id = 'T', .body = "hello"});
	say(&w, get);
	assert_trace("Ah. Bh. Th. BH AH BD2 AD2 BD3. AD3. Ax Bx");
	assert_true(has(&w, "200 OK"));
	strb_fini(&trace);
	say(&w, post);
	say(&w, "12345");
	assert_trace("Ah Bh Th Ad5. Bd5. Td5. BH AH BD2 AD2 BD3. AD3. Ax Bx");
	finish(&w);
}

static void
a_filter_waits_at_the_headers_of_a_bare_request(void **state)
{
	struct script a = {.id = 'A', .headers = FILTER_STOP};
	struct world w;

	start(&w, "");
	use(&w, &fake, &a, &fake, PASS('B'), PASS('T'));
	say(&w, get);
	assert_trace("Ah.");
	stream_continue_request(last);
	receive(&w);
	assert_trace("Ah. Bh. Th. BH. AH. Ax Bx");
	assert_true(has(&w, "200 OK"));
	finish(&w);
}

static void
data_behind_a_waiting_filter_follows_in_order(void **state)
{
	struct script a = {.id = 'A', .headers = FILTER_STOP};
	struct world w;

	start(&w, "");
	use(&w, &waiter, &a, &fake, PASS('B'), PASS('T'));
	say(&w, post);
	say(&w, "12");
	say(&w, "345");
	assert_trace("Ah");
	stream_continue_request(last);
	receive(&w);
	assert_trace("Ah Bh Th Bd5. Td5. BH. AH. Bx");
	finish(&w);
}

static void
two_filters_wait_one_after_the_other(void **state)
{
	struct script a = {.id = 'A', .headers = FILTER_STOP};
	struct script b = {.id = 'B', .headers = FILTER_STOP};
	struct world w;

	start(&w, "");
	use(&w, &waiter, &a, &waiter, &b, PASS('T'));
	say(&w, post);
	say(&w, "12345");
	stream_continue_request(last);
	assert_trace("Ah Bh");
	stream_continue_request(last);
	receive(&w);
	assert_trace("Ah Bh Th Td5. BH. AH.");
	finish(&w);
}

static void
a_buffering_filter_shows_the_whole_body_at_once(void **state)
{
	struct script a = {.id = 'A', .data = FILTER_STOP, .go_on_at_end = true};
	struct world w;

	start(&w, "");
	use(&w, &fake, &a, &fake, PASS('B'), PASS('T'));
	say(&w, post);
	say(&w, "12");
	assert_trace("Ah Bh Th Ad2");
	say(&w, "345");
	assert_trace("Ah Bh Th Ad2 Ad3. Bd5. Td5. BH. AH. Ax Bx");
	finish(&w);
}

static void
a_filter_that_holds_everything_lets_it_go_at_the_end(void **state)
{
	struct script a = {
	    .id = 'A', .headers = FILTER_STOP, .data = FILTER_STOP, .go_on_at_end = true};
	struct world w;

	start(&w, "");
	use(&w, &fake, &a, &fake, PASS('B'), PASS('T'));
	say(&w, post);
	say(&w, "12");
	say(&w, "345");
	assert_trace("Ah Ad2 Ad3. Bh Th Bd5. Td5. BH. AH. Ax Bx");
	finish(&w);
}

static void
trailers_follow_the_body(void **state)
{
	static const char http1[] = "          http_protocol_options: { enable_trailers: true }\n";
	struct script hold = {.id = 'A', .data = FILTER_STOP, .go_on_at_end = true};
	struct script wait = {.id = 'A', .headers = FILTER_STOP};
	struct world w;

	start(&w, http1);
	use(&w, &fake, PASS('A'), &fake, PASS('B'), PASS('T'));
	say(&w, chunked);
	say(&w, "2\r\n12\r\n0\r\nx: y\r\n\r\n");
	assert_trace("Ah Bh Th Ad2 Bd2 Td2 At. Bt. Tt. BH. AH. Ax Bx");
	finish(&w);

	start(&w, http1);
	use(&w, &fake, &hold, &fake, PASS('B'), PASS('T'));
	say(&w, chunked);
	say(&w, "2\r\n12\r\n0\r\nx: y\r\n\r\n");
	assert_trace("Ah Bh Th Ad2 At. Bd2 Td2 Bt. Tt. BH. AH. Ax Bx");
	finish(&w);

	start(&w, http1);
	use(&w, &waiter, &wait, &fake, PASS('B'), PASS('T'));
	say(&w, chunked);
	say(&w, "2\r\n12\r\n0\r\nx: y\r\n\r\n");
	assert_trace("Ah");
	stream_continue_request(last);
	receive(&w);
	assert_trace("Ah Bh Th Bd2 Td2 Bt. Tt. BH. AH. Bx");
	finish(&w);
}

static void
a_reply_of_a_filter_passes_the_response_filters(void **state)
{
	struct script b = {.id = 'B', .reply = true};
	struct world w;

	start(&w, "");
	use(&w, &fake, PASS('A'), &fake, &b, PASS('T'));
	say(&w, get);
	assert_trace("Ah. Bh. BH AH BD3. AD3. Ax Bx");
	assert_true(has(&w, "HTTP/1.1 418 "));
	assert_true(has(&w, "\r\n\r\ntea"));
	finish(&w);
}

static void
a_response_waits_and_goes_on(void **state)
{
	struct script b = {.id = 'B', .r_headers = FILTER_STOP};
	struct world w;

	start(&w, "");
	use(&w, &fake, PASS('A'), &waiter, &b, &(struct script){.id = 'T', .body = "hello"});
	say(&w, get);
	assert_trace("Ah. Bh. Th. BH");
	assert_int_equal(w.got.n, 0);
	stream_continue_response(last);
	receive(&w);
	assert_trace("Ah. Bh. Th. BH AH AD5. Ax");
	assert_true(has(&w, "hello"));
	finish(&w);
}

static void
a_body_above_the_limit_is_refused_only_when_it_is_wanted_whole(void **state)
{
	struct script buffer = {.id = 'A', .data = FILTER_STOP, .go_on_at_end = true};
	struct script wait = {.id = 'A', .headers = FILTER_STOP};
	struct world w;
	uint64_t paused;

	start(&w, "");
	w.listener->hcm->buffer_limit = 3;
	use(&w, &fake, &buffer, &fake, PASS('B'), PASS('T'));
	say(&w, post);
	say(&w, "1234");
	assert_true(has(&w, "413 "));
	assert_true(has(&w, "Payload Too Large"));
	finish(&w);

	start(&w, "");
	w.listener->hcm->buffer_limit = 4;
	use(&w, &waiter, &wait, &fake, PASS('B'), PASS('T'));
	paused = stats(&w)->downstream_flow_control_paused_reading_total.raw;
	say(&w, post);
	say(&w, "12345");
	assert_int_equal(w.got.n, 0);
	assert_int_equal(stats(&w)->downstream_flow_control_paused_reading_total.raw - paused, 1);
	stream_continue_request(last);
	receive(&w);
	assert_true(has(&w, "200 OK"));
	assert_false(w.ended);
	finish(&w);
}

static void
a_response_above_the_limit_becomes_500(void **state)
{
	struct script a = {.id = 'A', .r_headers = FILTER_STOP, .r_data = FILTER_STOP};
	struct world w;

	start(&w, "");
	w.listener->hcm->buffer_limit = 4;
	use(&w, &fake, &a, &fake, PASS('B'), &(struct script){.id = 'T', .body = "0123456789"});
	/* Its own answer is stopped too; it goes on by hand. */
	say(&w, get);
	stream_continue_response(last);
	receive(&w);
	assert_true(has(&w, "500 Internal Server Error"));
	finish(&w);
}

static void
a_client_that_leaves_ends_what_waits(void **state)
{
	struct script a = {.id = 'A', .headers = FILTER_STOP};
	struct world w;

	start(&w, "");
	use(&w, &fake, &a, &fake, PASS('B'), PASS('T'));
	say(&w, post);
	hang_up(&w);
	turn(&w);
	assert_trace("Ah Ax Bx");
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everybody_goes_on),
	    cmocka_unit_test(a_filter_waits_at_the_headers_of_a_bare_request),
	    cmocka_unit_test(data_behind_a_waiting_filter_follows_in_order),
	    cmocka_unit_test(two_filters_wait_one_after_the_other),
	    cmocka_unit_test(a_buffering_filter_shows_the_whole_body_at_once),
	    cmocka_unit_test(a_filter_that_holds_everything_lets_it_go_at_the_end),
	    cmocka_unit_test(trailers_follow_the_body),
	    cmocka_unit_test(a_reply_of_a_filter_passes_the_response_filters),
	    cmocka_unit_test(a_response_waits_and_goes_on),
	    cmocka_unit_test(a_body_above_the_limit_is_refused_only_when_it_is_wanted_whole),
	    cmocka_unit_test(a_response_above_the_limit_becomes_500),
	    cmocka_unit_test(a_client_that_leaves_ends_what_waits),
	};
	int bad = cmocka_run_group_tests(tests, NULL, NULL);

	strb_fini(&trace);
	return bad;
}
