/*
 * The budgets of one HTTP/2 connection, with Envoy's formulas, defaults
 * and stats.  Run by whoever feeds a codec: workers, admin.
 */
#include "lib/http/h2_limits.h"

#include <nghttp2/nghttp2.h>

#include "lib/http/h2.h"

const char h2_too_many_resets[] = "http2.too_many_premature_resets";

static const struct codec_error empty_frames = {400, "http2.inbound_empty_frames_flood"};
static const struct codec_error priority_frames = {400, "http2.inbound_priority_frames_flood"};
static const struct codec_error window_updates = {400, "http2.inbound_window_update_frames_flood"};
static const struct codec_error control_frames = {400, "http2.outbound_control_frames_flood"};
static const struct codec_error outbound_frames = {400, "http2.outbound_frames_flood"};
static const struct codec_error resets = {400, h2_too_many_resets};

static void
default_to(uint32_t *field, uint32_t value)
{
	if (*field == 0)
		*field = value;
}

void
http2_settings_defaults(struct http2_settings *s)
{
	default_to(&s->hpack_table_size, 4096);
	default_to(&s->max_concurrent_streams, 1024);
	default_to(&s->initial_stream_window, 16u << 20);
	default_to(&s->initial_connection_window, 24u << 20);
	default_to(&s->max_outbound_frames, 10000);
	default_to(&s->max_outbound_control_frames, 1000);
	default_to(&s->max_consecutive_empty_frames, 1);
	default_to(&s->max_priority_frames_per_stream, 100);
	default_to(&s->max_window_updates_per_data_frame, 10);
}

void
h2_limits_init(struct h2_limits *l, const struct http2_settings *settings,
    struct http2_codec_stats *stats)
{
	*l = (struct h2_limits){.settings = settings, .stats = stats};
	l->reset_credit = H2_RESET_BURST * 1000;
}

static void
count_frames(struct h2_limits *l, int frames, int control)
{
	l->frames += (uint32_t)frames;
	l->control_frames += (uint32_t)control;
	if (frames)
		stat_move(&l->stats->outbound_frames_active, frames);
	if (control)
		stat_move(&l->stats->outbound_control_frames_active, control);
}

static void
forget_frames(struct h2_limits *l)
{
	count_frames(l, -(int)l->frames, -(int)l->control_frames);
}

void
h2_limits_fini(struct h2_limits *l)
{
	forget_frames(l);
}

static const struct codec_error *
priority_frame(struct h2_limits *l)
{
	uint64_t most = (uint64_t)l->settings->max_priority_frames_per_stream *
			(1 + l->streams_opened);

	if (++l->priority_frames <= most)
		return NULL;
	stat_inc(&l->stats->inbound_priority_frames_flood);
	return &priority_frames;
}

static const struct codec_error *
window_update(struct h2_limits *l)
{
	uint64_t most = 5 + 2 * (l->streams_opened + l->settings->max_window_updates_per_data_frame *
							     l->data_frames_sent);

	if (++l->window_updates <= most)
		return NULL;
	stat_inc(&l->stats->inbound_window_update_frames_flood);
	return &window_updates;
}

const struct codec_error *
h2_limits_data(struct h2_limits *l, bool empty, bool end)
{
	if (!empty || end) {
		l->empty_run = 0;
		return NULL;
	}
	if (++l->empty_run <= l->settings->max_consecutive_empty_frames)
		return NULL;
	stat_inc(&l->stats->inbound_empty_frames_flood);
	return &empty_frames;
}

const struct codec_error *
h2_limits_frame(struct h2_limits *l, uint8_t type, uint8_t flags, size_t length)
{
	switch (type) {
	case NGHTTP2_DATA:
		if (flags & NGHTTP2_FLAG_PADDED)
			return NULL;
		/* fall through */
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
		return h2_limits_data(l, length == 0, flags & NGHTTP2_FLAG_END_STREAM);
	case NGHTTP2_PRIORITY:
	case NGHTTP2_PRIORITY_UPDATE:
		return priority_frame(l);
	case NGHTTP2_WINDOW_UPDATE:
		return window_update(l);
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PING:
		return flags & NGHTTP2_FLAG_ACK ? NULL : h2_limits_control(l);
	default:
		return NULL;
	}
}

/* A token bucket in thousandths: 33 a second are 33 thousandths a millisecond. */
const struct codec_error *
h2_limits_reset(struct h2_limits *l)
{
	uint64_t passed = l->now_ms - l->reset_credit_at;

	if (l->now_ms == 0)
		return NULL;
	if (l->reset_credit_at == 0 || passed > H2_RESET_BURST * 1000)
		l->reset_credit = H2_RESET_BURST * 1000;
	else
		l->reset_credit += passed * H2_RESETS_PER_S;
	l->reset_credit_at = l->now_ms;
	if (l->reset_credit > H2_RESET_BURST * 1000)
		l->reset_credit = H2_RESET_BURST * 1000;
	if (l->reset_credit < 1000)
		return &resets;
	l->reset_credit -= 1000;
	return NULL;
}

const struct codec_error *
h2_limits_control(struct h2_limits *l)
{
	count_frames(l, 0, 1);
	if (l->control_frames <= l->settings->max_outbound_control_frames)
		return NULL;
	stat_inc(&l->stats->outbound_control_flood);
	return &control_frames;
}

void
h2_limits_sent(struct h2_limits *l, bool data)
{
	if (data)
		l->data_frames_sent++;
	count_frames(l, 1, 0);
}

const struct codec_error *
h2_limits_written(struct h2_limits *l, bool blocked)
{
	if (!blocked) {
		forget_frames(l);
		return NULL;
	}
	if (l->frames <= l->settings->max_outbound_frames)
		return NULL;
	stat_inc(&l->stats->outbound_flood);
	return &outbound_frames;
}
