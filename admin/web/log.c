#include "admin/web/log.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "admin/admin.h"

static void
add_time(struct strb *out, uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / 1000000000);
	struct tm tm;
	char text[32];

	gmtime_r(&seconds, &tm);
	strb_add(out, text, strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm));
	strb_printf(out, ".%03uZ", (unsigned)(wall_ns / 1000000 % 1000));
}

static struct str
value(const struct web_log_line *line, enum header_id id)
{
	struct str s = line->headers ? headers_get(line->headers, id) : STR("");

	return s.n ? s : STR("-");
}

void
web_log_format(struct strb *out, const struct web_log_line *line)
{
	static const char *const protocols[] = {"HTTP/1.0", "HTTP/1.1", "HTTP/2"};

	strb_addc(out, '[');
	add_time(out, line->started_wall_ns);
	strb_printf(out, "] \"" STR_FMT " " STR_FMT " %s\" %u - %" PRIu64 " %" PRIu64 " %" PRIu64 " - ",
	    STR_ARG(value(line, HDR_METHOD)), STR_ARG(value(line, HDR_PATH)), protocols[line->protocol],
	    line->status, line->received, line->sent, line->duration_ms);
	strb_printf(out, "\"" STR_FMT "\" \"" STR_FMT "\" \"" STR_FMT "\" \"" STR_FMT "\" \"-\"\n",
	    STR_ARG(value(line, HDR_X_FORWARDED_FOR)), STR_ARG(value(line, HDR_USER_AGENT)),
	    STR_ARG(value(line, HDR_X_REQUEST_ID)), STR_ARG(value(line, HDR_AUTHORITY)));
}

void
web_log_write(struct admin *a, const struct web_log_line *line)
{
	struct strb text = {0};

	if (a->files.admin_logs.len == 0)
		return;
	web_log_format(&text, line);
	for (size_t i = 0; i < a->files.admin_logs.len; i++)
		stat_inc(write(a->files.admin_logs.at[i].fd, text.p, text.n) == (ssize_t)text.n
			? &a->stats.filesystem->write_completed
			: &a->stats.filesystem->write_failed);
	strb_fini(&text);
}
