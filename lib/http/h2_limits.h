/*
 * The budgets of one HTTP/2 connection: how much of what costs us
 * something and its sender nothing is accepted.  Embedded in the session;
 * pure counting, no clock (the owner's milliseconds come in) and no
 * nghttp2.  Every question answers NULL while all is well, else the
 * reason to close, after counting it in the stats.
 */
#ifndef HTTP_H2_LIMITS_H
#define HTTP_H2_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/http/codec.h"

#define H2_RESET_BURST 1000
#define H2_RESETS_PER_S 33

struct h2_limits {
	const struct http2_settings *settings; /* borrowed, zeros replaced by defaults */
	struct http2_codec_stats *stats;
	uint64_t now_ms; /* 0: the owner has not told */
	/* received */
	uint64_t streams_opened, data_frames_sent;
	uint64_t priority_frames, window_updates;
	uint32_t empty_run; /* frames without payload in a row */
	uint64_t reset_credit, reset_credit_at; /* thousandths of a reset; when last refilled */
	/* to be sent: since the connection last took everything we had */
	uint32_t frames, control_frames;
};

void h2_limits_init(struct h2_limits *l, const struct http2_settings *settings,
    struct http2_codec_stats *stats);
void h2_limits_fini(struct h2_limits *l); /* takes its share out of the gauges */

/* A frame was received; for PADDED DATA ask h2_limits_data() when its padding is known. */
const struct codec_error *h2_limits_frame(struct h2_limits *l, uint8_t type, uint8_t flags,
    size_t length);
const struct codec_error *h2_limits_data(struct h2_limits *l, bool empty, bool end);
/* RST_STREAM received, or sent for a mistake of the other side. */
const struct codec_error *h2_limits_reset(struct h2_limits *l);
/* A PING or SETTINGS answer or an RST_STREAM will be sent. */
const struct codec_error *h2_limits_control(struct h2_limits *l);
/* A frame was written. */
void h2_limits_sent(struct h2_limits *l, bool data);
/* All is written; `blocked`: the connection did not take it. */
const struct codec_error *h2_limits_written(struct h2_limits *l, bool blocked);

#endif
