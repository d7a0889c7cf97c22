#include "tools/sha1.h"

#include <stdint.h>
#include <string.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static uint32_t
rotate(uint32_t v, int by)
{
	return v << by | v >> (32 - by);
}

static void
digest_block(uint32_t h[5], const uint8_t *p)
{
	static const uint32_t add[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
	uint32_t w[80], v[5], f;

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
		    (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
	for (int i = 16; i < 80; i++)
		w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	memcpy(v, h, sizeof(v));
	for (int i = 0; i < 80; i++) {
		if (i < 20)
			f = (v[1] & v[2]) | (~v[1] & v[3]);
		else if (i >= 40 && i < 60)
			f = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
		else
			f = v[1] ^ v[2] ^ v[3];
		f += rotate(v[0], 5) + v[4] + add[i / 20] + w[i];
		v[4] = v[3];
		v[3] = v[2];
		v[2] = rotate(v[1], 30);
		v[1] = v[0];
		v[0] = f;
	}
	for (int i = 0; i < 5; i++)
		h[i] += v[i];
}

static void
sha1(const uint8_t *p, size_t n, uint8_t out[20])
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	uint8_t last[128] = {0};
	size_t whole = n / 64 * 64, rest = n - whole, tail = rest < 56 ? 64 : 128;

	for (size_t at = 0; at < whole; at += 64)
		digest_block(h, p + at);
	memcpy(last, p + whole, rest);
	last[rest] = 0x80;
	for (int i = 0; i < 8; i++)
		last[tail - 1 - (size_t)i] = (uint8_t)((uint64_t)n * 8 >> (8 * i));
	for (size_t at = 0; at < tail; at += 64)
		digest_block(h, last + at);
	for (int i = 0; i < 20; i++)
		out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

void
websocket_accept(const char *key, size_t n, char out[32])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t text[128], d[21] = {0};
	char *o = out;

	if (n > 64)
		n = 64;
	memcpy(text, key, n);
	memcpy(text + n, GUID, sizeof(GUID) - 1);
	sha1(text, n + sizeof(GUID) - 1, d);
	for (int i = 0; i < 21; i += 3) {
		uint32_t v = (uint32_t)d[i] << 16 | (uint32_t)d[i + 1] << 8 | d[i + 2];

		for (int k = 3; k >= 0; k--)
			*o++ = digits[v >> (6 * k) & 63];
	}
	out[27] = '=';
	out[28] = '\0';
}
