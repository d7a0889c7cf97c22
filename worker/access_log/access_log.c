/*
 * Access logs: from their messages to a format and a sink.  Built with a
 * snapshot, written by streams at their end.  Run by workers.
 */
#include "worker/access_log/access_log.h"

#include "conf/data_source.h"
#include "conf/message.h"
#include "conf/types.h"
#include "envoy/config/accesslog/v3/accesslog.pb-c.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb-c.h"
#include "worker/access_log/format.h"
#include "worker/access_log/sink.h"

#define LONGEST_FORMAT (1024 * 1024)

typedef Envoy__Config__Core__V3__SubstitutionFormatString SubstitutionFormatString;
typedef Envoy__Extensions__AccessLoggers__File__V3__FileAccessLog FileAccessLog;
typedef Envoy__Extensions__AccessLoggers__Stream__V3__StdoutAccessLog StdoutAccessLog;
typedef Envoy__Extensions__AccessLoggers__Stream__V3__StderrAccessLog StderrAccessLog;

struct access_log {
	struct format *format;
	struct sink *sink; /* the process's */
};

struct build {
	struct arena *arena;
	struct err *err;
};

void
access_logs_init(struct loop *l, uint32_t flush_interval_ms)
{
	sinks_init(l, flush_interval_ms);
}

void
access_logs_set_fd(struct str path, int fd)
{
	sink_set_fd(sink_at(path), fd);
}

void
access_logs_flush(void)
{
	sinks_flush();
}

/* ---- formats */

static int
text_from_source(struct format **out, const SubstitutionFormatString *f,
    const struct format_options *o, struct build *b)
{
	struct strb text = {0};
	int rc = data_source_read(f->text_format_source, LONGEST_FORMAT, &text, b->err);

	if (rc == 0)
		rc = format_compile_text(out, strb_str(&text), o, b->arena, b->err);
	strb_fini(&text);
	return rc;
}

/* NULL: Envoy's default line. */
static int
build_format(struct format **out, const SubstitutionFormatString *f, struct build *b)
{
	struct format_options o = {false, false};

	if (f) {
		o.omit_empty = f->omit_empty_values;
		o.sort_keys = f->json_format_options && f->json_format_options->sort_properties;
	}
	switch (f ? f->format_case : ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT__NOT_SET) {
	case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_TEXT_FORMAT:
		return format_compile_text(out, str_of(f->text_format), &o, b->arena, b->err);
	case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_JSON_FORMAT:
		return format_compile_json(out, f->json_format, &o, b->arena, b->err);
	case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_TEXT_FORMAT_SOURCE:
		return text_from_source(out, f, &o, b);
	default:
		return format_compile_text(out, str_of(format_default_text), &o, b->arena, b->err);
	}
}

static int
build_file_format(struct format **out, const FileAccessLog *m, struct build *b)
{
	struct format_options o = {false, false};

	switch (m->access_log_format_case) {
	case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_FORMAT:
		if (m->format[0] == '\0')
			return build_format(out, NULL, b);
		return format_compile_text(out, str_of(m->format), &o, b->arena, b->err);
	case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_JSON_FORMAT:
		return format_compile_json(out, m->json_format, &o, b->arena, b->err);
	case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_TYPED_JSON_FORMAT:
		return format_compile_json(out, m->typed_json_format, &o, b->arena, b->err);
	case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_LOG_FORMAT:
		return build_format(out, m->log_format, b);
	default:
		return build_format(out, NULL, b);
	}
}

/* ---- kinds of logs */

static int
build_file(struct access_log *al, const ProtobufCMessage *msg, struct build *b)
{
	const FileAccessLog *m = (const FileAccessLog *)msg;

	al->sink = sink_at(str_of(m->path));
	return build_file_format(&al->format, m, b);
}

static int
build_stdout(struct access_log *al, const ProtobufCMessage *msg, struct build *b)
{
	al->sink = sink_at(STR("/dev/stdout"));
	return build_format(&al->format, ((const StdoutAccessLog *)msg)->log_format, b);
}

static int
build_stderr(struct access_log *al, const ProtobufCMessage *msg, struct build *b)
{
	al->sink = sink_at(STR("/dev/stderr"));
	return build_format(&al->format, ((const StderrAccessLog *)msg)->log_format, b);
}

static const struct {
	const ProtobufCMessageDescriptor *type;
	int (*build)(struct access_log *al, const ProtobufCMessage *msg, struct build *b);
} kinds[] = {
	{&envoy__extensions__access_loggers__file__v3__file_access_log__descriptor, build_file},
	{&envoy__extensions__access_loggers__stream__v3__stdout_access_log__descriptor,
	    build_stdout},
	{&envoy__extensions__access_loggers__stream__v3__stderr_access_log__descriptor,
	    build_stderr},
};

/* The type is in the Any; without one the extension's name says it. */
static const ProtobufCMessage *
open_config(const Envoy__Config__Accesslog__V3__AccessLog *log, struct build *b)
{
	const struct message_type *t = NULL;
	bool typed = log->typed_config && log->typed_config->type_url[0];

	if (!typed)
		t = type_by_name(TYPE_ACCESS_LOG, str_of(log->name));
	if (!typed && (t == NULL || t->descriptor == NULL)) {
		err_set(b->err, "'%s' is no kind of access log", log->name);
		return NULL;
	}
	return any_open(b->arena, typed ? (const ProtobufCMessage *)log->typed_config : NULL,
	    t ? t->descriptor : NULL, b->err);
}

int
access_log_build(struct access_log **out, const void *msg, struct arena *arena, struct err *err)
{
	struct build b = {arena, err};
	const Envoy__Config__Accesslog__V3__AccessLog *log = msg;
	const ProtobufCMessage *config = open_config(log, &b);

	if (config == NULL)
		return err_in(err, "access log '%s'", log->name);
	*out = arena_new(arena, struct access_log);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].type != config->descriptor)
			continue;
		if (kinds[i].build(*out, config, &b) < 0)
			return err_in(err, "access log '%s'", log->name);
		return 0;
	}
	return err_set(err, "access log '%s': %s is no kind of access log", log->name,
	    config->descriptor->name);
}

void
access_log_write(struct access_log *al, const struct stream_info *info)
{
	struct strb *line = sink_line(al->sink);

	if (line == NULL)
		return;
	format_write(al->format, info, line);
	sink_line_done(al->sink);
}
