/*
 * The answer to a WebSocket key (RFC 6455 4.2.2): base64 of SHA-1 of the
 * key and a fixed text.  For tools/origin only, which links no TLS
 * library; never for anything secret.
 */
#ifndef TOOLS_SHA1_H
#define TOOLS_SHA1_H

#include <stddef.h>

void websocket_accept(const char *key, size_t n, char out[32]); /* 28 characters and NUL */

#endif
