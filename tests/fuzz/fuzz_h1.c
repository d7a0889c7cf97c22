/*
 * Random bytes for both sides of the HTTP/1 codec.
 *
 * The story it tells must not depend on how the bytes were cut, and every
 * request it passes on must end where http-parser, alone and from the
 * start, says it ends: a difference in a boundary is a smuggled request.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "lib/base/assert.h"
#include "lib/http/h1_judge.h"
#include "tests/unit/lib/http/tape.h"

#define CLIENT 1
#define HEAD 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
start(struct tape *t, uint8_t flags)
{
	if (flags & CLIENT)
		tape_client(t);
	else
		tape_server(t);
	t->config.max_headers_bytes = 2000;
	t->config.max_headers_count = 20;
	t->config.h1.enable_trailers = flags & 4;
	t->config.h1.allow_custom_methods = flags & 8;
	t->config.h1.allow_chunked_length = flags & 16;
	t->config.h1.accept_http_10 = flags & 32;
	t->config.underscores = (enum underscore_action)(flags >> 6) % 3;
}

static void
ask(struct tape *t, uint8_t flags)
{
	if (!(flags & CLIENT) || t->stream)
		return;
	tape_request(t,
	    flags & HEAD ? ":method: HEAD\n:path: /\n:authority: a"
			 : ":method: GET\n:path: /\n:authority: a",
	    true);
}

/* The bytes in pieces whose sizes come from `cuts` (0: one piece). */
static const char *
play(struct tape *t, uint8_t flags, uint8_t cuts, const uint8_t *data, size_t n)
{
	unsigned seed = cuts;

	start(t, flags);
	ask(t, flags);
	for (size_t at = 0; at < n;) {
		size_t k = cuts ? 1 + seed % (cuts & 15 ? cuts & 15 : 1) : n;

		seed = seed * 1103515245u + 12345u;
		seed ^= seed >> 16;
		if (k > n - at)
			k = n - at;
		if (cuts & 128)
			tape_feed_bytewise(t, data + at, k);
		else
			tape_feed(t, data + at, k);
		at += k;
	}
	tape_eof(t);
	return tape_text(t);
}

/* ---- how many requests http-parser finds in what we passed on */

static int
on_complete(http_parser *parser)
{
	++*(unsigned *)parser->data;
	return 0;
}

static unsigned
count_requests(const uint8_t *data, size_t n)
{
	static const http_parser_settings settings = {.on_message_complete = on_complete};
	http_parser parser;
	unsigned count = 0;

	http_parser_init(&parser, HTTP_REQUEST);
	parser.data = &count;
	http_parser_execute(&parser, &settings, (const char *)data, n);
	return count;
}

static unsigned
count_complete(const char *text)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, "done\n")) != NULL; p++)
		n++;
	return n;
}

/*
 * http-parser 2.9.4 takes a name that only begins like Transfer-Encoding
 * for that header until it has seen the whole head, and refuses the
 * request.  To us it is a name like any other: there is nothing to compare.
 */
static bool
has_longer_name(const uint8_t *data, size_t n)
{
	static const char name[] = "transfer-encoding";
	const size_t len = sizeof(name) - 1;

	for (size_t i = 0; i + len < n; i++)
		if (strncasecmp((const char *)data + i, name, len) == 0 && data[i + len] != ':')
			return true;
	return false;
}

/* Without an error, a tunnel, or a close that hides the rest, both must count alike. */
static void
compare_boundaries(
    const struct tape *t, uint8_t flags, const char *text, const uint8_t *data, size_t n)
{
	if ((flags & (CLIENT | 8 | 16)) || t->error || t->broken || strstr(text, "upgrade") ||
	    strstr(text, ":method=CONNECT"))
		return;
	if (memmem(data, n, "done", 4) || has_longer_name(data, n) || count_complete(text) == count_requests(data, n))
		return;
	fprintf(stderr, "boundaries differ:\n%s", text);
	abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tape one, cut;
	const char *a, *b;
	uint8_t flags, cuts;

	if (n < 2)
		return 0;
	flags = data[0];
	cuts = data[1];
	a = play(&one, flags, 0, data + 2, n - 2);
	b = play(&cut, flags, cuts ? cuts : 1, data + 2, n - 2);
	if (strcmp(a, b) != 0) {
		fprintf(stderr, "in one piece:\n%s\nin pieces:\n%s\n", a, b);
		abort();
	}
	compare_boundaries(&one, flags, a, data + 2, n - 2);
	tape_fini(&one);
	tape_fini(&cut);
	return 0;
}
