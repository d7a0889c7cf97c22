/*
 * Every probe of HTTP/1 that parsers disagree about: which of them pass
 * here, and by which guard the others end.  Each one is fed as one piece,
 * byte by byte, and cut in two at every place: the story must be the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/base/assert.h"
#include "tests/unit/lib/http/tape.h"

#define P "POST / HTTP/1.1\r\nHost: a\r\n"
#define G(g) "http1.codec_error." g
#define TE_CL "http1.content_length_and_chunked_not_allowed"
#define TE_501 "http1.invalid_transfer_encoding"
#define JUDGE "http1.codec_error"
#define WAITS "(waits)" /* no error, nothing complete: a timeout's business */
#define B(text) text, sizeof(text) - 1

struct probe {
	const char *name, *bytes;
	size_t n;
	const char *details; /* NULL: accepted */
	unsigned status;
};

/* clang-format off */
static const struct probe requests[] = {
{"bare LF lines", B("GET / HTTP/1.1\nHost: a\n\n"), G("bare_lf"), 400},
{"bare LF after a header", B("GET / HTTP/1.1\r\nHost: a\n\r\n"), G("bare_lf"), 400},
{"space before colon", B(P "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), G("space_before_colon"), 400},
{"obs-fold", B(P "X: a\r\n b\r\n\r\n"), G("obs_fold"), 400},
{"obs-fold TE", B(P "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), G("obs_fold"), 400},
{"TE+CL", B(P "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), TE_CL, 400},
{"TE identity + CL", B(P "Content-Length: 4\r\nTransfer-Encoding: identity\r\n\r\nabcd"), TE_CL, 400},
{"TE gzip, chunked", B(P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), TE_501, 501},
{"TE chunked, identity", B(P "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), G("te_value"), 400},
{"TE identity (no CL)", B(P "Transfer-Encoding: identity\r\n\r\nGET /x HTTP/1.1\r\n\r\n"), TE_501, 501},
{"TE xchunked", B(P "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), TE_501, 501},
{"TE chunkedx", B(P "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n"), TE_501, 501},
{"TE chunked<TAB>", B(P "Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n"), JUDGE, 400},
{"TE <TAB>chunked", B(P "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"), NULL, 0},
{"TE <VT>chunked", B(P "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n"), G("control_char"), 400},
{"TE \"chunked\"", B(P "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), G("te_value"), 400},
{"TE two hdrs chunked,chunked", B(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), G("te_value"), 400},
{"TE two hdrs chunked,identity", B(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"), G("te_value"), 400},
{"TE two hdrs identity,chunked", B(P "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), G("te_value"), 400},
{"TE chunked, chunked", B(P "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), G("te_value"), 400},
{"TE chunked;q=1", B(P "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"), TE_501, 501},
{"TE empty", B(P "Transfer-Encoding: \r\nContent-Length: 3\r\n\r\nabc"), TE_CL, 400},
{"TE empty, no CL", B(P "Transfer-Encoding: \r\n\r\nabc"), G("te_value"), 400},
{"TE in HTTP/1.0", B("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), G("te_http10"), 400},
{"TE Chunked", B(P "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"), NULL, 0},
{"CL dup same", B(P "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), G("content_length"), 400},
{"CL list 3, 3", B(P "Content-Length: 3, 3\r\n\r\nabc"), G("content_length"), 400},
{"CL +3", B(P "Content-Length: +3\r\n\r\nabc"), G("content_length"), 400},
{"CL -1", B(P "Content-Length: -1\r\n\r\n"), G("content_length"), 400},
{"CL 3 3", B(P "Content-Length: 3 3\r\n\r\nabc"), G("content_length"), 400},
{"CL 0x3", B(P "Content-Length: 0x3\r\n\r\nabc"), G("content_length"), 400},
{"CL empty", B(P "Content-Length: \r\n\r\nabc"), G("content_length"), 400},
{"CL 3<TAB>", B(P "Content-Length: 3\t\r\n\r\nabc"), JUDGE, 400},
{"CL 003", B(P "Content-Length: 003\r\n\r\nabc"), NULL, 0},
{"CL overflow", B(P "Content-Length: 18446744073709551616\r\n\r\n"), G("content_length"), 400},
{"CL 2^63", B(P "Content-Length: 9223372036854775808\r\n\r\n"), G("content_length"), 400},
{"CL obs-fold", B(P "Content-Length: 1\r\n 2\r\n\r\nabcdefghijkl"), G("obs_fold"), 400},
{"chunk ext", B(P "Transfer-Encoding: chunked\r\n\r\n3;foo=bar\r\nabc\r\n0\r\n\r\n"), NULL, 0},
{"chunk ext bare LF in it", B(P "Transfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n"), G("bare_lf"), 400},
{"chunk ext control char", B(P "Transfer-Encoding: chunked\r\n\r\n3;a\x01\r\nabc\r\n0\r\n\r\n"), G("chunk_size"), 400},
{"chunk size trailing sp", B(P "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n"), G("chunk_size"), 400},
{"chunk size sp junk", B(P "Transfer-Encoding: chunked\r\n\r\n3 junk\r\nabc\r\n0\r\n\r\n"), G("chunk_size"), 400},
{"chunk size 0x3", B(P "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"), G("chunk_size"), 400},
{"chunk size empty", B(P "Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n"), G("chunk_size"), 400},
{"chunk size of 17 digits", B(P "Transfer-Encoding: chunked\r\n\r\n00000000000000003\r\nabc\r\n0\r\n\r\n"), G("chunk_size"), 400},
{"chunk size of 16 digits", B(P "Transfer-Encoding: chunked\r\n\r\n0000000000000003\r\nabc\r\n0\r\n\r\n"), NULL, 0},
{"chunk size bare LF", B(P "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"), G("bare_lf"), 400},
{"chunk data no CRLF (XX)", B(P "Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n"), G("chunk_crlf"), 400},
{"chunk data bare LF", B(P "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n"), G("chunk_crlf"), 400},
{"chunk data CR X", B(P "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\rX0\r\n\r\n"), G("chunk_crlf"), 400},
{"chunk size overflow", B(P "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"), G("chunk_size"), 400},
{"chunk CR not LF", B(P "Transfer-Encoding: chunked\r\n\r\n3\rXabc\r\n0\r\n\r\n"), G("cr"), 400},
{"trailer CL/TE", B(P "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n"), G("trailer"), 400},
{"trailer host", B(P "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n"), G("trailer"), 400},
{"trailer bare LF", B(P "Transfer-Encoding: chunked\r\n\r\n0\r\n\n"), G("bare_lf"), 400},
{"trailer obs-fold", B(P "Transfer-Encoding: chunked\r\n\r\n0\r\nx: y\r\n z\r\n\r\n"), G("obs_fold"), 400},
{"trailer normal", B(P "Transfer-Encoding: chunked\r\n\r\n0\r\nx-t: 1\r\n\r\n"), NULL, 0},
{"NUL in value", B(P "X: a\0b\r\n\r\n"), G("control_char"), 400},
{"CTL \\x01 in value", B(P "X: a\x01" "b\r\n\r\n"), G("control_char"), 400},
{"lone CR in value", B(P "X: a\rb\r\n\r\n"), G("cr"), 400},
{"CR then hdr", B(P "X: \rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), G("cr"), 400},
{"high bytes value", B(P "X: \xff\xfe\r\n\r\n"), NULL, 0},
{"TAB in value", B(P "X: a\tb\r\n\r\n"), NULL, 0},
{"DEL in value", B(P "X: \x7f\r\n\r\n"), G("control_char"), 400},
{"hdr name (space inside)", B(P "X Y: 1\r\n\r\n"), G("header_name"), 400},
{"hdr name \"", B(P "X\"Y: 1\r\n\r\n"), G("header_name"), 400},
{"hdr name high", B(P "X\xffY: 1\r\n\r\n"), G("header_name"), 400},
{"hdr name NUL", B(P "X\0Y: 1\r\n\r\n"), G("header_name"), 400},
{"empty hdr name", B(P ": 1\r\n\r\n"), G("header_name"), 400},
{"hdr no colon", B(P "abc\r\n\r\n"), G("header_name"), 400},
{"hdr underscore", B(P "content_length: 1\r\n\r\n"), NULL, 0},
{"dup Host", B(P "Host: b\r\n\r\n"), G("host"), 400},
{"dup Host same", B(P "Host: a\r\n\r\n"), G("host"), 400},
{"bad Host", B("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), G("host"), 400},
{"Host with userinfo", B("GET / HTTP/1.1\r\nHost: u@b\r\n\r\n"), G("host"), 400},
{"Host with path", B("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), G("host"), 400},
{"no Host 1.1", B("GET / HTTP/1.1\r\n\r\n"), "missing_host_header", 400},
{"no Host 1.0", B("GET / HTTP/1.0\r\n\r\n"), NULL, 0},
{"HTTP/1.2", B("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), G("version"), 505},
{"HTTP/2.0", B("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), G("version"), 505},
{"HTTP/0.9 simple", B("GET /\r\n\r\n"), G("version"), 400},
{"HTTP/01.1", B("GET / HTTP/01.1\r\nHost: a\r\n\r\n"), G("version"), 400},
{"http/1.1", B("GET / http/1.1\r\nHost: a\r\n\r\n"), G("version"), 400},
{"two spaces line", B("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), G("spaces"), 400},
{"two spaces before version", B("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), G("spaces"), 400},
{"sp after version", B("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), G("spaces"), 400},
{"sp before method", B(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), G("spaces"), 400},
{"tab sep", B("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), G("spaces"), 400},
{"CR after version", B("GET / HTTP/1.1\rX\r\nHost: a\r\n\r\n"), G("cr"), 400},
{"url high byte", B("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"), G("target"), 400},
{"url ctl", B("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"), G("target"), 400},
{"url frag", B("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"), G("target"), 400},
{"url tab", B("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"), G("target"), 400},
{"url backslash etc", B("GET /a\\b<>^`{}|\" HTTP/1.1\r\nHost: a\r\n\r\n"), NULL, 0},
{"url relative", B("GET a HTTP/1.1\r\nHost: a\r\n\r\n"), G("target"), 400},
{"url authority form", B("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), G("target"), 400},
{"url ftp", B("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), G("target"), 400},
{"absolute url", B("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n"), NULL, 0},
{"abs url userinfo", B("GET http://u:p@b/x HTTP/1.1\r\nHost: a\r\n\r\n"), G("authority"), 400},
{"abs url empty authority", B("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"), G("authority"), 400},
{"asterisk GET", B("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), G("asterisk"), 400},
{"asterisk OPTIONS", B("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), NULL, 0},
{"custom method", B("FOO / HTTP/1.1\r\nHost: a\r\n\r\n"), G("method"), 400},
{"lower method", B("get / HTTP/1.1\r\nHost: a\r\n\r\n"), G("method"), 400},
{"PRI preface", B("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), G("method"), 400},
{"TLS hello", B("\x16\x03\x01\x02\x00\x01"), G("method"), 400},
{"leading CRLFs", B("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), NULL, 0},
{"three leading CRLFs", B("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), G("empty_lines"), 400},
{"leading LF", B("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), G("bare_lf"), 400},
{"leading CR", B("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"), G("cr"), 400},
{"ICE proto", B("SOURCE / ICE/1.0\r\nHost: a\r\n\r\n"), G("version"), 400},
{"leading sp header 1st", B("GET / HTTP/1.1\r\n X: 1\r\nHost: a\r\n\r\n"), G("obs_fold"), 400},
{"upgrade w/ body", B(P "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabcGET"), G("upgrade_body"), 400},
{"upgrade chunked", B(P "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), G("upgrade_body"), 400},
{"upgrade h2c w/ body", B(P "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nContent-Length: 3\r\n\r\nabc"), NULL, 0},
{"upgrade no Connection", B(P "Upgrade: websocket\r\n\r\n"), NULL, 0},
{"CONNECT body", B("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\n\r\nabc"), G("upgrade_body"), 400},
{"CONNECT TE", B("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\nabc"), G("upgrade_body"), 400},
{"CONNECT path", B("CONNECT /a HTTP/1.1\r\nHost: a:1\r\n\r\n"), G("authority"), 400},
{"conn close then data", B("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"), NULL, 0},
{"GET with CL", B("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"), NULL, 0},
{"X: CR Z TE chunked", B(P "X: \rZTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), G("cr"), 400},
{"X: CR Z CL", B(P "X: \rZContent-Length: 3\r\n\r\nabc"), G("cr"), 400},
{"hdr end CR X", B(P "X: 1\r\n\rXGET /smug HTTP/1.1\r\n\r\n"), G("cr"), 400},
{"Connection names Host", B(P "Connection: host\r\n\r\n"), G("connection_header"), 400},
{"Connection names CL", B(P "Connection: close, content-length\r\nContent-Length: 0\r\n\r\n"), G("connection_header"), 400},
{"Connection names XFF", B(P "Connection: X-Forwarded-For\r\n\r\n"), G("connection_header"), 400},
{"Connection names nonsense", B(P "Connection: a b\r\n\r\n"), G("connection_header"), 400},
{"Connection names a header", B(P "Connection: x-mine\r\nX-Mine: 1\r\n\r\n"), NULL, 0},
};

static const struct probe responses[] = {
{"resp plain", B("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), NULL, 0},
{"resp no reason", B("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), NULL, 0},
{"resp TE+CL", B("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), G("response_framing"), 502},
{"resp TE identity,no chunked", B("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"), G("response_framing"), 502},
{"resp TE chunked<TAB>", B("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), JUDGE, 400},
{"resp TE in 1.0", B("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), G("response_framing"), 502},
{"resp chunked", B("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), NULL, 0},
{"resp 204 w CL", B("HTTP/1.1 204 N\r\nContent-Length: 3\r\n\r\n"), NULL, 0},
{"resp 204 w body", B("HTTP/1.1 204 N\r\nContent-Length: 3\r\n\r\nabc"), G("idle_data"), 502},
{"resp 304 w CL", B("HTTP/1.1 304 N\r\nContent-Length: 3\r\n\r\n"), NULL, 0},
{"resp 100 then 200", B("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), NULL, 0},
{"resp 101", B("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nabc"), G("response_framing"), 502},
{"resp 101 CL", B("HTTP/1.1 101 S\r\nContent-Length: 3\r\n\r\nabc"), G("response_framing"), 502},
{"resp status 99", B("HTTP/1.1 99 X\r\n\r\n"), G("response_framing"), 502},
{"resp status 099", B("HTTP/1.1 099 X\r\n\r\n"), G("response_framing"), 502},
{"resp status 600", B("HTTP/1.1 600 X\r\n\r\n"), G("response_framing"), 502},
{"resp status 1000", B("HTTP/1.1 1000 X\r\n\r\n"), G("response_framing"), 502},
{"resp junk before", B("xHTTP/1.1 200 OK\r\n\r\n"), G("version"), 400},
{"resp HTTP/2.0", B("HTTP/2.0 200 OK\r\n\r\n"), G("version"), 400},
{"resp 200 TE+CL identity dup", B("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), G("response_framing"), 502},
{"resp bare LF", B("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), G("bare_lf"), 400},
{"resp reason ctl", B("HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n"), G("control_char"), 400},
{"resp reason CR", B("HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"), G("cr"), 400},
{"resp obs-fold", B("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), G("obs_fold"), 400},
{"resp more than said", B("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"), G("idle_data"), 502},
{"resp smuggled second", B("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), G("idle_data"), 502},
};
/* clang-format on */

/* How the bytes come: in one piece, byte by byte, in two pieces cut at 2, 3 … */
static void
play(struct tape *t, const struct probe *p, size_t how)
{
	if (how == 0) {
		tape_feed(t, p->bytes, p->n);
	} else if (how == 1) {
		tape_feed_bytewise(t, p->bytes, p->n);
	} else {
		tape_feed(t, p->bytes, how - 1);
		tape_feed(t, p->bytes + how - 1, p->n - how + 1);
	}
}

static uint64_t
rejections(const struct tape *t)
{
	uint64_t n = 0;

#define H1_LIMIT(id, status, details)
#define H1_GUARD(id, status, stat, details)                                                        \
	if (seen[offsetof(struct http1_codec_stats, rejected_##stat) / 8]++ == 0)                  \
		n += t->stats.rejected_##stat.raw;
	unsigned seen[sizeof(struct http1_codec_stats) / 8] = {0};
#include "lib/http/h1_errors.def"
#undef H1_GUARD
#undef H1_LIMIT
	return n;
}

static void
check_request(const struct probe *p, struct tape *t)
{
	if (p->details == NULL) {
		if (t->error || t->requests < 1 || t->done < 1)
			fail_msg("%s: not accepted: %s", p->name, t->error ? t->error : WAITS);
		return;
	}
	if (t->error == NULL || strcmp(t->error, p->details) != 0 || t->status != p->status)
		fail_msg("%s: %u %s instead of %u %s", p->name, t->status,
		    t->error ? t->error : WAITS, p->status, p->details);
	if (t->broken == NULL || strcmp(t->broken, p->details) != 0)
		fail_msg("%s: the connection lives on", p->name);
	if (strstr(tape_out(t), "connection: close\r\n") == NULL)
		fail_msg("%s: the answer does not say connection: close", p->name);
	if (rejections(t) != (strcmp(p->details, JUDGE) && strcmp(p->details, G("method"))))
		fail_msg("%s: %d guards counted", p->name, (int)rejections(t));
}

static void
check_response(const struct probe *p, struct tape *t)
{
	if (p->details == NULL) {
		if (t->error || t->broken || t->done != 1 || !t->codec->reusable)
			fail_msg("%s: not accepted: %s", p->name, t->error ? t->error : WAITS);
		return;
	}
	if (t->broken == NULL || strcmp(t->broken, p->details) != 0)
		fail_msg(
		    "%s: %s instead of %s", p->name, t->broken ? t->broken : WAITS, p->details);
	if (t->codec->reusable)
		fail_msg("%s: would be used again", p->name);
}

static void
run(const struct probe *p, bool server)
{
	struct tape t;
	char *first = NULL;

	for (size_t how = 0; how < p->n + 1; how++) {
		const char *text;

		if (server)
			tape_server(&t);
		else
			tape_client(&t);
		if (!server)
			tape_request(&t, ":method: GET\n:path: /\n:authority: a", true);
		play(&t, p, how);
		if (server)
			check_request(p, &t);
		else
			check_response(p, &t);
		text = tape_text(&t);
		if (first == NULL)
			first = strdup(text);
		if (strcmp(first, text) != 0)
			fail_msg("%s (%zu):\n%s---\n%s", p->name, how, first, text);
		tape_fini(&t);
	}
	free(first);
}

static void
every_request_probe_passes_or_ends_at_its_guard(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		run(&requests[i], true);
}

static void
every_response_probe_passes_or_ends_at_its_guard(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(responses); i++)
		run(&responses[i], false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_request_probe_passes_or_ends_at_its_guard),
	    cmocka_unit_test(every_response_probe_passes_or_ends_at_its_guard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
