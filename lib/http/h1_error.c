/* Answers and counters of refused HTTP/1 bytes.  Any process with a codec. */
#include "lib/http/h1_error.h"

#define NO_STAT SIZE_MAX

static const struct codec_error infos[] = {
    [H1_OK] = {0, ""},
#define H1_GUARD(id, status, stat, details) [H1_##id] = {status, details},
#define H1_LIMIT(id, status, details) [H1_##id] = {status, details},
#include "lib/http/h1_errors.def"
#undef H1_GUARD
#undef H1_LIMIT
};

static const size_t stats_at[] = {
    [H1_OK] = NO_STAT,
#define H1_GUARD(id, status, stat, details)                                                        \
	[H1_##id] = offsetof(struct http1_codec_stats, rejected_##stat),
#define H1_LIMIT(id, status, details) [H1_##id] = NO_STAT,
#include "lib/http/h1_errors.def"
#undef H1_GUARD
#undef H1_LIMIT
};

const struct codec_error *
h1_error_info(enum h1_error e)
{
	return &infos[e];
}

void
h1_error_count(struct http1_codec_stats *stats, enum h1_error e)
{
	if (stats == NULL || stats_at[e] == NO_STAT)
		return;
	stat_inc((struct stat_counter *)(void *)((char *)stats + stats_at[e]));
	if (e == H1_UNDERSCORE)
		stat_inc(&stats->requests_rejected_with_underscores_in_headers);
}
