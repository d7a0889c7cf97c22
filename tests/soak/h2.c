/*
 * HTTP/2 clients over nghttp2: many small streams at once, and one slow
 * download on a connection.
 *
 * A connection that hears GOAWAY opens no more streams, starts its
 * successor and stays until its own streams are answered; a stream that
 * GOAWAY or a reset leaves unanswered has failed.
 */
#include <nghttp2/nghttp2.h>
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "tests/soak/soak.h"

#define STREAMS 8
#define SMALL_MAX 32768
#define TEXT_MAX 256

struct h2;

struct stream {
	struct list node;
	struct h2 *owner;
	int32_t id;
	bool upload, ok;
	uint64_t seed, size, at, given;
	uint64_t asked_at;
	char text[TEXT_MAX];
	size_t text_len;
};

struct h2 {
	struct peer peer;
	nghttp2_session *session; /* NULL: not connected */
	struct list streams;
	unsigned open;
	bool leaving;	   /* GOAWAY heard */
	size_t unconsumed; /* of the slow stream */
	uint64_t wanting_since;
};

static struct h2 *
of_peer(struct peer *p)
{
	return container_of(p, struct h2, peer);
}

static bool
is_slow(const struct h2 *c)
{
	return c->peer.kind == KIND_SLOW_STREAM;
}

static void
pump(struct h2 *c)
{
	const uint8_t *bytes;
	ssize_t n;

	while (c->session && (n = nghttp2_session_mem_send(c->session, &bytes)) > 0)
		peer_send(&c->peer, bytes, (size_t)n);
}

/* ---- streams */

static void
stream_free(struct stream *s)
{
	list_remove(&s->node);
	s->owner->open--;
	mem_free(s);
}

static void
stream_fail(struct stream *s, bool doomed, const char *what)
{
	struct peer *p = &s->owner->peer;

	p->doomed = doomed;
	tally_failed(p, true, "a stream after %.0f ms, %llu of %llu bytes: %s",
	    (double)(clock_mono_ns() - s->asked_at) / NS_PER_MS, (unsigned long long)s->at,
	    (unsigned long long)s->size, what);
}

static ssize_t
on_upload(nghttp2_session *session, int32_t id, uint8_t *room, size_t n, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	struct stream *s = source->ptr;

	if (n > s->size - s->given)
		n = s->size - s->given;
	for (size_t i = 0; i < n; i++)
		room[i] = (uint8_t)pattern_byte(s->seed, s->given + i);
	s->given += n;
	if (s->given == s->size)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

#define FIELD(name, value)                                                                         \
	((nghttp2_nv){(uint8_t *)(name), (uint8_t *)(value), strlen(name), strlen(value),          \
	    NGHTTP2_NV_FLAG_NONE})

static void
ask(struct h2 *c)
{
	struct stream *s = mem_new(struct stream);
	uint64_t slow = (uint64_t)slow_s * (1000 / PACE_MS) * PACE_BYTES;
	nghttp2_data_provider body = {.source.ptr = s, .read_callback = on_upload};
	char path[96];

	s->owner = c;
	s->seed = rand_below(1000);
	s->size = is_slow(c) ? slow / 2 + rand_below(slow / 2) : rand_below(SMALL_MAX) + 1;
	s->upload = !is_slow(c) && rand_below(4) == 0;
	s->asked_at = c->wanting_since = clock_mono_ns();
	snprintf(path, sizeof(path), s->upload ? "/upload" : "/?size=%llu&seed=%llu",
	    (unsigned long long)s->size, (unsigned long long)s->seed);
	list_push_back(&c->streams, &s->node);
	c->open++;
	nghttp2_nv head[] = {FIELD(":method", s->upload ? "POST" : "GET"), FIELD(":scheme", "http"),
	    FIELD(":authority", "soak"), FIELD(":path", path)};
	s->id = nghttp2_submit_request(c->session, NULL, head, 4, s->upload ? &body : NULL, s);
	tally_head();
	peer_expect(&c->peer);
}

static bool
is_text_right(const struct stream *s)
{
	char want[96];

	snprintf(want, sizeof(want), "\"bytes\":%llu,\"fnv1a64\":\"%016llx\"",
	    (unsigned long long)s->size, (unsigned long long)pattern_fnv(s->seed, s->size));
	return strstr(s->text, want) != NULL;
}

static void
stream_judge(struct stream *s, uint32_t code)
{
	struct h2 *c = s->owner;
	char what[96];

	if (code != NGHTTP2_NO_ERROR) {
		snprintf(what, sizeof(what), "reset: %s%s", nghttp2_http2_strerror(code),
		    c->leaving ? " after GOAWAY" : "");
		stream_fail(s, c->peer.doomed, what);
	} else if (!s->ok) {
		stream_fail(s, c->peer.doomed, "no 200");
	} else if (s->upload ? !is_text_right(s) : s->at != s->size) {
		stream_fail(s, c->peer.doomed,
		    "a body of the wrong length, or an upload that arrived changed");
	} else {
		tally_done(
		    c->peer.kind, clock_mono_ns() - (is_slow(c) ? c->wanting_since : s->asked_at));
	}
}

/* ---- what nghttp2 reports */

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (s && str_eqz(str_make((const char *)name, name_len), ":status"))
		s->ok = str_eqz(str_make((const char *)value, value_len), "200");
	return 0;
}

static int
on_data(
    nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *arg)
{
	struct h2 *c = arg;
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);

	if (is_slow(c)) {
		tally_pause(c->peer.kind, clock_mono_ns() - c->wanting_since);
		c->wanting_since = clock_mono_ns();
		c->unconsumed += n;
	}
	if (s == NULL)
		return 0;
	if (s->upload && s->text_len + n < TEXT_MAX) {
		memcpy(s->text + s->text_len, bytes, n);
		s->text_len += n;
	} else if (s->ok && !s->upload &&
		   !pattern_matches((const char *)bytes, n, s->seed, s->at)) {
		fault("%s: a body with wrong bytes at %llu", kind_name(c->peer.kind),
		    (unsigned long long)s->at);
	}
	s->at += n;
	return 0;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);

	if (s == NULL)
		return 0;
	stream_judge(s, code);
	stream_free(s);
	return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *c = arg;

	if (frame->hd.type != NGHTTP2_GOAWAY)
		return 0;
	if (!c->leaving && !finishing)
		h2_start(c->peer.kind);
	c->leaving = true;
	return 0;
}

static void
session_open(struct h2 *c)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;

	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_option_new(&option);
	nghttp2_option_set_no_auto_window_update(option, is_slow(c));
	nghttp2_session_client_new2(&c->session, callbacks, c, option);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, NULL, 0);
}

/* ---- its life */

/* The connection is over, by us or by them; nothing is open any more. */
static void
leave(struct h2 *c)
{
	nghttp2_session_del(c->session);
	c->session = NULL;
	peer_remove(&c->peer);
}

/* More streams, or the end. */
static void
move_on(struct h2 *c)
{
	unsigned want = finishing || c->leaving ? 0 : is_slow(c) ? 1 : STREAMS;

	while (c->open < want)
		ask(c);
	pump(c);
	if (c->open)
		return;
	if (c->session)
		leave(c);
}

static void
on_open(struct peer *p)
{
	struct h2 *c = of_peer(p);

	session_open(c);
	move_on(c);
	if (!p->gone)
		peer_wake_in(p, PACE_MS);
}

static void
fail_all(struct h2 *c, const char *why)
{
	bool doomed = c->peer.doomed;

	list_for_each(n, &c->streams)
	{
		struct stream *s = list_entry(n, struct stream, node);

		stream_fail(s, doomed, why);
		stream_free(s);
	}
}

static void
on_closed(struct peer *p, const char *why)
{
	struct h2 *c = of_peer(p);
	bool before_any = c->session == NULL;

	if (before_any)
		tally_failed(p, false, "no connection: %s", why);
	else if (c->open == 0 && !c->leaving)
		tally_closed_idle(p);
	fail_all(c, why);
	if (!c->leaving && !finishing)
		h2_start(p->kind);
	leave(c);
}

static void
on_bytes(struct peer *p, const char *bytes, size_t n)
{
	struct h2 *c = of_peer(p);
	ssize_t used = nghttp2_session_mem_recv(c->session, (const uint8_t *)bytes, n);

	if (used != (ssize_t)n) {
		fault("%s: not HTTP/2: %s", kind_name(p->kind), nghttp2_strerror((int)used));
		peer_hangup(p);
		on_closed(p, "not HTTP/2");
		return;
	}
	if (c->open == 0)
		peer_expect_nothing(p);
	if (c->leaving || finishing || is_slow(c))
		move_on(c);
	else
		pump(c);
}

/* The small streams keep a beat; the slow one is let on by a piece. */
static void
on_wake(struct peer *p)
{
	struct h2 *c = of_peer(p);
	size_t n = c->unconsumed < PACE_BYTES ? c->unconsumed : PACE_BYTES;

	if (c->session == NULL) {
		peer_expect(p);
		peer_connect(p, h2_port, 0);
		return;
	}
	if (is_slow(c) && n) {
		struct stream *s =
		    c->open ? list_entry(list_first(&c->streams), struct stream, node) : NULL;

		c->wanting_since = clock_mono_ns();
		c->unconsumed -= n;
		nghttp2_session_consume_connection(c->session, n);
		if (s)
			nghttp2_session_consume_stream(c->session, s->id, n);
		peer_expect(p);
	}
	peer_wake_in(p, is_slow(c) ? PACE_MS : between(1, 20));
	move_on(c);
}

static void
on_late(struct peer *p)
{
	struct h2 *c = of_peer(p);

	peer_hangup(p);
	if (c->open)
		on_closed(p, "nothing heard for too long");
}

static void
h2_free(struct peer *p)
{
	mem_free(of_peer(p));
}

static const struct peer_type h2_type = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_closed = on_closed,
    .on_wake = on_wake,
    .on_late = on_late,
    .free = h2_free,
};

void
h2_start(enum kind kind)
{
	struct h2 *c = mem_new(struct h2);

	list_init(&c->streams);
	peer_init(&c->peer, &h2_type, kind);
	peer_wake_in(&c->peer, between(1, 50));
}
