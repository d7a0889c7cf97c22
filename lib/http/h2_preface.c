/*
 * Does a connection begin with HTTP/2's preface?  The listener asks for
 * codec_type AUTO before it chooses a codec; nothing is consumed.
 */
#include "lib/http/codec.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum h2_preface
h2_preface_test(const struct buf *in)
{
	char begin[sizeof(preface) - 1];
	size_t n = buf_peek(in, begin, sizeof(begin));

	if (memcmp(begin, preface, n) != 0)
		return PREFACE_NO;
	return n == sizeof(begin) ? PREFACE_YES : PREFACE_MAYBE;
}
