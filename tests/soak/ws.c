/*
 * WebSocket clients: one upgrade, then messages that must come back as they
 * went, for as long as the soak lasts.
 */
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "tests/soak/soak.h"

#define MESSAGE_MAX 4000
/* The key and its answer that RFC 6455 computes. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

enum step {
	STEP_AWAY,
	STEP_UPGRADING,
	STEP_OPEN,    /* nothing under way */
	STEP_ECHO,    /* a message is */
	STEP_LEAVING, /* a close frame is */
};

struct ws {
	struct peer peer;
	enum step step;
	struct strb in;
	uint64_t seed, size, asked_at;
	unsigned messages;
};

static struct ws *
of_peer(struct peer *p)
{
	return container_of(p, struct ws, peer);
}

static void
away(struct ws *w)
{
	peer_hangup(&w->peer);
	w->step = STEP_AWAY;
	if (finishing)
		peer_remove(&w->peer);
	else
		peer_wake_in(&w->peer, 50);
}

static void
fail(struct ws *w, const char *why)
{
	tally_failed(&w->peer, w->step == STEP_UPGRADING, "message %u: %s", w->messages, why);
	away(w);
}

/* ---- writing */

static void
send_frame(struct ws *w, unsigned char opcode, size_t n)
{
	unsigned char head[8] = {0x80 | opcode, 0x80 | (n < 126 ? (unsigned char)n : 126)};
	uint64_t mask = rand_u64();
	size_t at = 2, from;
	struct strb b = {0};

	if (n >= 126) {
		head[at++] = (unsigned char)(n >> 8);
		head[at++] = (unsigned char)n;
	}
	memcpy(head + at, &mask, 4);
	strb_add(&b, head, at + 4);
	from = b.n;
	pattern_fill(&b, w->seed, 0, n);
	for (size_t i = 0; i < n; i++)
		b.p[from + i] ^= (char)head[at + i % 4];
	w->asked_at = clock_mono_ns();
	peer_expect(&w->peer);
	peer_send(&w->peer, b.p, b.n);
	strb_fini(&b);
}

static void
say(struct ws *w)
{
	w->seed = rand_below(1000);
	w->size = finishing ? 0 : rand_below(MESSAGE_MAX);
	w->step = finishing ? STEP_LEAVING : STEP_ECHO;
	w->messages++;
	send_frame(w, finishing ? 8 : 2, w->size);
}

/* ---- hearing */

static void
upgraded(struct ws *w, const char *end)
{
	const char *head = strb_z(&w->in);

	if (strncmp(head, "HTTP/1.1 101", 12) != 0 || strstr(head, ACCEPT) == NULL) {
		fail(w, "not upgraded");
		return;
	}
	if (end + 4 != w->in.p + w->in.n) {
		fail(w, "bytes that nobody asked for");
		return;
	}
	strb_reset(&w->in);
	tally_done(w->peer.kind, clock_mono_ns() - w->asked_at);
	w->step = STEP_OPEN;
	peer_expect_nothing(&w->peer);
	peer_wake_in(&w->peer, 1);
}

static void
heard_frame(struct ws *w, size_t head)
{
	unsigned char opcode = (unsigned char)w->in.p[0] & 0x0f;

	if (opcode != (w->step == STEP_LEAVING ? 8 : 2) || w->in.n != head + w->size ||
	    !pattern_matches(w->in.p + head, w->size, w->seed, 0)) {
		fail(w, "another message came back");
		return;
	}
	strb_reset(&w->in);
	tally_done(w->peer.kind, clock_mono_ns() - w->asked_at);
	peer_expect_nothing(&w->peer);
	if (w->step == STEP_LEAVING) {
		peer_remove(&w->peer);
		return;
	}
	w->step = STEP_OPEN;
	peer_wake_in(&w->peer, rand_below(20) == 0 ? 3000 : between(1, 200));
}

static void
on_bytes(struct peer *p, const char *bytes, size_t n)
{
	struct ws *w = of_peer(p);
	const unsigned char *in;
	size_t head, size;

	strb_add(&w->in, bytes, n);
	in = (const unsigned char *)w->in.p;
	if (w->step == STEP_UPGRADING) {
		const char *end = strstr(w->in.p, "\r\n\r\n");

		if (end)
			upgraded(w, end);
		return;
	}
	if (w->step == STEP_OPEN) {
		fail(w, "bytes that nobody asked for");
		return;
	}
	if (w->in.n < 2 || ((in[1] & 0x7f) == 126 && w->in.n < 4))
		return;
	head = (in[1] & 0x7f) == 126 ? 4 : 2;
	size = head == 4 ? (size_t)(in[2] << 8 | in[3]) : in[1] & 0x7fu;
	if (w->in.n >= head + size)
		heard_frame(w, head);
}

static void
on_open(struct peer *p)
{
	static const char request[] =
	    "GET /ws HTTP/1.1\r\nhost: soak\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
	    "sec-websocket-version: 13\r\nsec-websocket-key: " KEY "\r\n\r\n";
	struct ws *w = of_peer(p);

	w->step = STEP_UPGRADING;
	tally_head();
	peer_send(p, request, sizeof(request) - 1);
}

static void
on_closed(struct peer *p, const char *why)
{
	fail(of_peer(p), why);
}

static void
on_late(struct peer *p)
{
	fail(of_peer(p), "nothing heard for too long");
}

static void
on_wake(struct peer *p)
{
	struct ws *w = of_peer(p);

	if (w->step == STEP_OPEN) {
		say(w);
	} else if (w->step == STEP_AWAY && finishing) {
		peer_remove(p);
	} else if (w->step == STEP_AWAY) {
		strb_reset(&w->in);
		w->messages = 0;
		w->asked_at = clock_mono_ns();
		peer_expect(p);
		peer_connect(p, h1_port, 0);
	}
}

static void
ws_free(struct peer *p)
{
	struct ws *w = of_peer(p);

	strb_fini(&w->in);
	mem_free(w);
}

static const struct peer_type ws_type = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_closed = on_closed,
    .on_wake = on_wake,
    .on_late = on_late,
    .free = ws_free,
};

void
ws_start(void)
{
	struct ws *w = mem_new(struct ws);

	peer_init(&w->peer, &ws_type, KIND_SOCKET);
	peer_wake_in(&w->peer, between(1, 200));
}
