/*
 * HTTP/1.1 clients: busy, idle and one-request connections, slow downloads
 * and uploads, and the probe that asks which configuration is in force.
 *
 * One request at a time.  The answer is read by a parser of its own, the
 * proxy's is not to be trusted with its own proof.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "tests/soak/soak.h"

#define TEXT_MAX 512
#define SMALL_MAX 32768

enum step {
	STEP_RESTING, /* between requests */
	STEP_HEAD,
	STEP_BODY, /* `left` bytes of it, of the chunk when chunked */
	STEP_CHUNK_SIZE,
	STEP_CHUNK_END,
	STEP_TRAILER,
};

struct h1 {
	struct peer peer;
	enum step step;
	struct strb line; /* head, chunk size line or trailer as far as it came */
	struct strb text; /* body of a small answer that is not a pattern */
	uint64_t asked_at, wanting_since;
	unsigned served; /* on this connection */
	bool sent, chunked, closes;
	bool pattern; /* the body is to be one */
	uint64_t seed, size, at, left;
	uint64_t upload_left; /* of a slow upload: not given to the connection yet */
	unsigned least_version;
};

static struct h1 *
of_peer(struct peer *p)
{
	return container_of(p, struct h1, peer);
}

static bool
is_slow(const struct h1 *h)
{
	return h->peer.kind == KIND_DOWNLOAD || h->peer.kind == KIND_UPLOAD;
}

/* When the next request begins. */
static unsigned
rest_ms(const struct h1 *h)
{
	switch (h->peer.kind) {
	case KIND_BUSY:
		return between(0, 8);
	case KIND_IDLE:
		return between(500, 5000);
	case KIND_ONCE:
		return between(5, 25);
	default:
		return between(50, 200);
	}
}

static void
rest(struct h1 *h)
{
	h->step = STEP_RESTING;
	peer_expect_nothing(&h->peer);
	if (finishing || h->peer.kind == KIND_PROBE)
		peer_remove(&h->peer);
	else
		peer_wake_in(&h->peer, rest_ms(h));
}

static void
fail(struct h1 *h, const char *what)
{
	tally_failed(&h->peer, h->sent,
	    "request %u of its connection, after %.0f ms, %llu of %llu bytes: %s", h->served + 1,
	    (double)(clock_mono_ns() - h->asked_at) / NS_PER_MS, (unsigned long long)h->at,
	    (unsigned long long)h->size, what);
	peer_hangup(&h->peer);
	rest(h);
}

/* ---- asking */

static void
put_get(struct h1 *h, struct strb *b)
{
	h->pattern = true;
	strb_printf(b, "GET /?size=%llu&seed=%llu%s HTTP/1.1\r\nhost: soak\r\n\r\n",
	    (unsigned long long)h->size, (unsigned long long)h->seed,
	    rand_below(3) == 0 ? "&chunked=1" : "");
}

static void
put_upload(struct h1 *h, struct strb *b)
{
	h->pattern = false;
	strb_printf(b, "POST /upload HTTP/1.1\r\nhost: soak\r\ncontent-length: %llu\r\n\r\n",
	    (unsigned long long)h->size);
	if (h->peer.kind == KIND_UPLOAD)
		h->upload_left = h->size;
	else
		pattern_fill(b, h->seed, 0, h->size);
}

static void
put_request(struct h1 *h, struct strb *b)
{
	uint64_t slow = (uint64_t)slow_s * (1000 / PACE_MS) * PACE_BYTES;

	h->seed = rand_below(1000);
	h->size = is_slow(h) ? slow / 2 + rand_below(slow / 2) : rand_below(SMALL_MAX);
	if (h->peer.kind == KIND_PROBE) {
		h->pattern = false;
		strb_addz(b, "GET /version HTTP/1.1\r\nhost: soak\r\n\r\n");
	} else if (h->peer.kind == KIND_UPLOAD ||
		   (h->peer.kind != KIND_DOWNLOAD && rand_below(4) == 0)) {
		put_upload(h, b);
	} else {
		put_get(h, b);
	}
}

static void
ask(struct h1 *h)
{
	struct strb b = {0};

	h->step = STEP_HEAD;
	h->at = 0;
	h->upload_left = 0;
	h->chunked = h->closes = false;
	strb_reset(&h->line);
	strb_reset(&h->text);
	put_request(h, &b);
	h->sent = true;
	tally_head();
	h->wanting_since = clock_mono_ns();
	if (h->served)
		h->asked_at = h->wanting_since; /* a new connection's time counts */
	peer_expect(&h->peer);
	if (is_slow(h))
		peer_wake_in(&h->peer, PACE_MS);
	if (h->peer.kind == KIND_DOWNLOAD)
		h->peer.budget = PACE_BYTES;
	peer_send(&h->peer, b.p, b.n);
	strb_fini(&b);
}

static void
begin(struct h1 *h)
{
	h->sent = false;
	if (h->peer.fd >= 0 && peer_has_ended(&h->peer)) {
		tally_closed_idle(&h->peer);
		peer_hangup(&h->peer);
	}
	if (h->peer.fd >= 0) {
		ask(h);
		return;
	}
	h->served = 0;
	h->at = h->size = 0;
	h->step = STEP_HEAD;
	h->asked_at = clock_mono_ns();
	h->least_version = version_least;
	peer_expect(&h->peer);
	peer_connect(&h->peer, h1_port, is_slow(h) ? 2 * PACE_BYTES : 0);
}

/* ---- hearing */

static void
check_text(struct h1 *h)
{
	char want[96];
	unsigned version;

	if (h->peer.kind == KIND_PROBE) {
		if (sscanf(strb_z(&h->text), "v%u", &version) != 1 || version < h->least_version ||
		    version > version_most)
			fault("a new connection hears of configuration '%s', v%u was said to be in "
			      "force",
			    strb_z(&h->text), h->least_version);
		return;
	}
	snprintf(want, sizeof(want), "\"bytes\":%llu,\"fnv1a64\":\"%016llx\"",
	    (unsigned long long)h->size, (unsigned long long)pattern_fnv(h->seed, h->size));
	if (strstr(strb_z(&h->text), want) == NULL)
		fault("%s: an upload arrived changed: wanted %s, got %s", kind_name(h->peer.kind),
		    want, strb_z(&h->text));
}

static void
answer_complete(struct h1 *h)
{
	uint64_t pause = clock_mono_ns() - (is_slow(h) ? h->wanting_since : h->asked_at);

	if (h->pattern && h->at != h->size) {
		fail(h, "a body of the wrong length");
		return;
	}
	if (!h->pattern)
		check_text(h);
	tally_done(h->peer.kind, pause);
	h->served++;
	if (h->closes || h->peer.kind == KIND_ONCE || h->peer.kind == KIND_PROBE || finishing)
		peer_hangup(&h->peer);
	rest(h);
}

/* "name: value" of the head; NULL when it is not there. */
static const char *
field(const char *head, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = strchr(head, '\n'); p; p = strchr(p, '\n')) {
		p++;
		if (strncasecmp(p, name, n) == 0 && p[n] == ':')
			return p + n + 1 + strspn(p + n + 1, " ");
	}
	return NULL;
}

/* False: it failed. */
static bool
read_head(struct h1 *h)
{
	const char *head = strb_z(&h->line), *v;

	if (strncmp(head, "HTTP/1.1 200", 12) != 0) {
		strb_printf(&h->text, "%.*s, flags %.40s", (int)strcspn(head, "\r"), head,
		    field(head, "x-envoy-response-flags") ? field(head, "x-envoy-response-flags")
							  : "none");
		fail(h, strb_z(&h->text));
		return false;
	}
	v = field(head, "connection");
	h->closes = v && strncasecmp(v, "close", 5) == 0;
	h->chunked = field(head, "transfer-encoding") != NULL;
	v = field(head, "content-length");
	h->left = v ? strtoull(v, NULL, 10) : 0;
	h->step = h->chunked ? STEP_CHUNK_SIZE : STEP_BODY;
	return true;
}

static bool
take_body(struct h1 *h, const char *bytes, size_t n)
{
	if (h->pattern && !pattern_matches(bytes, n, h->seed, h->at)) {
		fail(h, "a body with wrong bytes");
		return false;
	}
	if (!h->pattern && h->text.n + n < TEXT_MAX)
		strb_add(&h->text, bytes, n);
	h->at += n;
	h->left -= n;
	return true;
}

/* A complete line is in h->line (head: the whole head). */
static bool
take_line(struct h1 *h)
{
	bool ok = true, end = h->line.n == 2;

	if (h->step == STEP_HEAD) {
		ok = read_head(h);
	} else if (h->step == STEP_CHUNK_SIZE) {
		h->left = strtoull(strb_z(&h->line), NULL, 16);
		h->step = h->left ? STEP_BODY : STEP_TRAILER;
	} else if (h->step == STEP_CHUNK_END) {
		h->step = STEP_CHUNK_SIZE;
	} else if (end) {
		h->chunked = false;
		h->left = 0;
		h->step = STEP_BODY;
	}
	strb_reset(&h->line);
	return ok;
}

/* Gives how much was used up. */
static size_t
collect_line(struct h1 *h, const char *bytes, size_t n, bool *complete)
{
	size_t used = 0;

	*complete = false;
	while (used < n && !*complete) {
		strb_addc(&h->line, bytes[used++]);
		*complete = h->step == STEP_HEAD
				? h->line.n > 4 && str_ends(strb_str(&h->line), STR("\r\n\r\n"))
				: h->line.p[h->line.n - 1] == '\n';
	}
	return used;
}

static void
on_bytes(struct peer *p, const char *bytes, size_t n)
{
	struct h1 *h = of_peer(p);
	bool complete;

	if (is_slow(h))
		tally_pause(p->kind, clock_mono_ns() - h->wanting_since);
	h->wanting_since = clock_mono_ns();
	if (h->step == STEP_RESTING && n)
		fail(h, "bytes that nobody asked for");
	while (h->step != STEP_RESTING) {
		if (h->step == STEP_BODY) {
			size_t part = h->left < n ? h->left : n;

			if (!take_body(h, bytes, part))
				return;
			bytes += part;
			n -= part;
			if (h->left)
				return;
			h->step = STEP_CHUNK_END;
			if (!h->chunked && n)
				fail(h, "bytes behind the answer");
			else if (!h->chunked)
				answer_complete(h);
		} else {
			size_t used = collect_line(h, bytes, n, &complete);

			bytes += used;
			n -= used;
			if (!complete || !take_line(h))
				return;
		}
	}
}

/* ---- the rest of its life */

static void
on_open(struct peer *p)
{
	ask(of_peer(p));
}

static void
on_closed(struct peer *p, const char *why)
{
	struct h1 *h = of_peer(p);

	if (h->step == STEP_RESTING)
		tally_closed_idle(p);
	else
		fail(h, why);
}

static void
on_late(struct peer *p)
{
	fail(of_peer(p), "nothing heard for too long");
}

static void
send_piece(struct h1 *h)
{
	size_t n = h->upload_left < PACE_BYTES ? h->upload_left : PACE_BYTES;
	struct strb b = {0};

	peer_wake_in(&h->peer, PACE_MS);
	peer_expect(&h->peer);
	if (h->peer.out.n > h->peer.out_at)
		return;
	pattern_fill(&b, h->seed, h->size - h->upload_left, n);
	h->upload_left -= n;
	h->wanting_since = clock_mono_ns();
	peer_send(&h->peer, b.p, b.n);
	strb_fini(&b);
}

static void
on_wake(struct peer *p)
{
	struct h1 *h = of_peer(p);

	if (h->step == STEP_RESTING) {
		if (finishing)
			peer_remove(p);
		else
			begin(h);
	} else if (p->kind == KIND_UPLOAD && h->upload_left) {
		send_piece(h);
	} else if (p->kind == KIND_DOWNLOAD) {
		peer_wake_in(p, PACE_MS);
		if (p->budget == 0) {
			h->wanting_since = clock_mono_ns();
			peer_expect(p);
			peer_may_read(p, PACE_BYTES);
		}
	}
}

static void
on_written(struct peer *p, uint64_t took_ns)
{
	if (p->kind == KIND_UPLOAD)
		tally_pause(p->kind, took_ns);
}

static void
h1_free(struct peer *p)
{
	struct h1 *h = of_peer(p);

	strb_fini(&h->line);
	strb_fini(&h->text);
	mem_free(h);
}

static const struct peer_type h1_type = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_closed = on_closed,
    .on_wake = on_wake,
    .on_late = on_late,
    .on_written = on_written,
    .free = h1_free,
};

void
h1_start(enum kind kind)
{
	struct h1 *h = mem_new(struct h1);

	peer_init(&h->peer, &h1_type, kind);
	peer_wake_in(&h->peer, kind == KIND_PROBE ? 0 : between(1, 200));
}
