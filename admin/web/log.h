/* The admin port's access log: Envoy's default format, to the files of admin.access_log. */
#ifndef WEB_LOG_H
#define WEB_LOG_H

#include <stdint.h>

#include "lib/http/codec.h"

struct admin;

struct web_log_line {
	uint64_t started_wall_ns;
	const struct headers *headers; /* NULL: none were read */
	enum http_protocol protocol;
	unsigned status;
	uint64_t received, sent, duration_ms;
};

void web_log_write(struct admin *a, const struct web_log_line *line);
void web_log_format(struct strb *out, const struct web_log_line *line);

#endif
