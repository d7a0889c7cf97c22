/*
 * Soundness of the small messages that stand everywhere: matchers, header
 * values, durations, addresses' parts, data sources, formats.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/check_private.h"
#include "conf/data_source.h"
#include "envoy/config/core/v3/base.pb-c.h"
#include "envoy/config/core/v3/substitution_format_string.pb-c.h"
#include "envoy/config/metrics/v3/stats.pb-c.h"
#include "envoy/config/route/v3/route_components.pb-c.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "envoy/type/matcher/v3/string.pb-c.h"
#include "envoy/type/v3/percent.pb-c.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "lib/base/regex.h"

#define FORMAT_BYTES 65536

bool
is_ip(const char *text, bool *v6)
{
	unsigned char raw[16];

	*v6 = inet_pton(AF_INET6, text, raw) == 1;
	return *v6 || inet_pton(AF_INET, text, raw) == 1;
}

bool
is_header_name(struct str name, bool pseudo)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";
	size_t i = pseudo && name.n > 1 && name.p[0] == ':';

	if (name.n == 0)
		return false;
	for (; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			(c && strchr(marks, c))))
			return false;
	}
	return true;
}

bool
is_header_value(struct str value)
{
	for (size_t i = 0; i < value.n; i++)
		if (((unsigned char)value.p[i] < 0x20 && value.p[i] != '\t') || value.p[i] == 0x7f)
			return false;
	return true;
}

static void
check_pattern(struct checked *k, const char *field, const char *pattern, enum regex_mode mode)
{
	struct err err;
	struct regex *re = regex_new(str_of(pattern), mode, &err);

	if (!re)
		fail(k, field, "is not a valid regular expression: %s", err.text);
	regex_free(&re);
}

void
check_regex(struct checked *k)
{
	check_pattern(
	    k, "regex", ((const Envoy__Type__Matcher__V3__RegexMatcher *)k->m)->regex, REGEX_FULL);
}

void
check_substitution(struct checked *k)
{
	const Envoy__Type__Matcher__V3__RegexMatchAndSubstitute *m = (const void *)k->m;
	struct regex *re =
	    m->pattern ? regex_new(str_of(m->pattern->regex), REGEX_SEARCH, NULL) : NULL;
	struct err err;

	if (re && regex_check_replacement(re, str_of(m->substitution), &err) < 0)
		fail(k, "substitution", "%s", err.text);
	regex_free(&re);
}

void
check_string_matcher(struct checked *k)
{
	const Envoy__Type__Matcher__V3__StringMatcher *s = (const void *)k->m;

	switch (s->match_pattern_case) {
	case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_PREFIX:
	case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SUFFIX:
	case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_CONTAINS:
		if (s->prefix[0] == '\0') /* the three share their place */
			fail(k, NULL, "an empty prefix, suffix or contains matches everything");
		break;
	case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SAFE_REGEX:
		if (s->ignore_case)
			warn(k, "ignore_case",
			    "ignore_case has no effect on safe_regex: write (?i)");
		break;
	default:
		break;
	}
}

void
check_header_matcher(struct checked *k)
{
	const Envoy__Config__Route__V3__HeaderMatcher *h = (const void *)k->m;

	if (h->name[0] && !is_header_name(str_of(h->name), true))
		fail(k, "name", "'%s' is not a header name", h->name);
	if (h->header_match_specifier_case ==
		ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_RANGE_MATCH &&
	    h->range_match->start >= h->range_match->end)
		warn(
		    k, "range_match", "range_match is empty: it holds start and what is below end");
}

static void
check_format(struct checked *k, const char *field, struct str format)
{
	const char *near;
	struct err err;

	if (format_check(format, &near, &err) < 0)
		fail_near(k, field, near, "%s", err.text);
}

static void
check_header_key(struct checked *k, const Envoy__Config__Core__V3__HeaderValue *h)
{
	if (h->key[0] == '\0')
		return;
	if (h->key[0] == ':' || str_ieqz(str_of(h->key), "host"))
		fail_below(
		    k, "header", &h->base, "key", NULL, "':' headers and host cannot be added");
	else if (!is_header_name(str_of(h->key), false))
		fail_below(k, "header", &h->base, "key", NULL, "'%s' is not a header name", h->key);
	else if (strlen(h->key) > 16384)
		fail_below(k, "header", &h->base, "key", NULL, "is longer than 16384 bytes");
}

void
check_header_value_option(struct checked *k)
{
	const Envoy__Config__Core__V3__HeaderValueOption *o = (const void *)k->m;
	const Envoy__Config__Core__V3__HeaderValue *h = o->header;
	const char *near;
	struct err err;

	if (o->append && checked_written(k, "append_action"))
		fail(k, "append_action", "append is set already; only one of the two may be");
	if (!h)
		return;
	check_header_key(k, h);
	if (h->value[0] && h->raw_value.len > 0)
		fail_below(k, "header", &h->base, "raw_value", NULL,
		    "value is set already; only one of the two may be");
	if (!is_header_value(str_of(h->value)) ||
	    !is_header_value(str_make((char *)h->raw_value.data, h->raw_value.len)))
		fail_below(k, "header", &h->base, h->value[0] ? "value" : "raw_value", NULL,
		    "cannot stand in a header: it holds a control character");
	else if (strlen(h->value) > 16384)
		fail_below(k, "header", &h->base, "value", NULL, "is longer than 16384 bytes");
	else if (format_check(str_of(h->value), &near, &err) < 0)
		fail_below(k, "header", &h->base, "value", near, "%s", err.text);
}

void
check_percent(struct checked *k)
{
	double v = ((const Envoy__Type__V3__Percent *)k->m)->value;

	if (!(v >= 0 && v <= 100))
		fail(k, "value", "must be from 0 to 100");
}

void
check_duration(struct checked *k)
{
	const Google__Protobuf__Duration *d = (const void *)k->m;

	if (d->seconds < 0 || d->nanos < 0)
		fail(k, NULL, "must not be negative");
	else if (d->seconds > 315576000000ll || d->nanos > 999999999)
		fail(k, NULL, "is out of range");
}

void
check_data_source(struct checked *k)
{
	const Envoy__Config__Core__V3__DataSource *d = (const void *)k->m;
	struct stat st;

	if (d->specifier_case == ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME) {
		if (d->filename[0] == '\0')
			fail(k, "filename", "must not be empty");
		else if (stat(d->filename, &st) < 0 || access(d->filename, R_OK) < 0)
			fail(
			    k, "filename", "'%s' cannot be read: %s", d->filename, strerror(errno));
		else if (!S_ISREG(st.st_mode))
			fail(k, "filename", "'%s' is not a file", d->filename);
	}
	if (d->specifier_case ==
		ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_ENVIRONMENT_VARIABLE &&
	    !getenv(d->environment_variable))
		fail(k, "environment_variable", "'%s' is not set in the environment",
		    d->environment_variable);
}

/* Every string of a JSON format is a format of its own. */
static void
check_json_format(struct checked *k, const char *field, const Google__Protobuf__Value *v)
{
	switch (v->kind_case) {
	case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
		check_format(k, field, str_of(v->string_value));
		break;
	case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
		for (size_t i = 0; i < v->struct_value->n_fields; i++)
			check_json_format(k, field, v->struct_value->fields[i]->value);
		break;
	case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE:
		for (size_t i = 0; i < v->list_value->n_values; i++)
			check_json_format(k, field, v->list_value->values[i]);
		break;
	default:
		break;
	}
}

static void
check_json_struct(struct checked *k, const char *field, const Google__Protobuf__Struct *s)
{
	for (size_t i = 0; i < s->n_fields; i++)
		check_json_format(k, field, s->fields[i]->value);
}

void
check_file_access_log(struct checked *k)
{
	const Envoy__Extensions__AccessLoggers__File__V3__FileAccessLog *f = (const void *)k->m;

	switch (f->access_log_format_case) {
	case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_FORMAT:
		check_format(k, "format", str_of(f->format));
		break;
	case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_JSON_FORMAT:
		check_json_struct(k, "json_format", f->json_format);
		break;
	case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_TYPED_JSON_FORMAT:
		check_json_struct(k, "typed_json_format", f->typed_json_format);
		break;
	default:
		break;
	}
}

static void
check_format_source(struct checked *k, const Envoy__Config__Core__V3__DataSource *d)
{
	struct strb text = {0};
	struct err err;

	if (data_source_is_there(d)) {
		if (data_source_read(d, FORMAT_BYTES, &text, &err) < 0)
			fail(k, "text_format_source", "%s", err.text);
		else
			check_format(k, "text_format_source", strb_str(&text));
	}
	strb_fini(&text);
}

void
check_format_string(struct checked *k)
{
	const Envoy__Config__Core__V3__SubstitutionFormatString *f = (const void *)k->m;

	switch (f->format_case) {
	case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_TEXT_FORMAT:
		check_format(k, "text_format", str_of(f->text_format));
		break;
	case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_JSON_FORMAT:
		check_json_struct(k, "json_format", f->json_format);
		break;
	case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_TEXT_FORMAT_SOURCE:
		check_format_source(k, f->text_format_source);
		break;
	default:
		break;
	}
}

void
check_stats_config(struct checked *k)
{
	const Envoy__Config__Metrics__V3__StatsConfig *s = (const void *)k->m;
	struct map names = {0};

	for (size_t i = 0; i < s->n_stats_tags; i++)
		if (s->stats_tags[i]->tag_name[0] &&
		    map_put(&names, str_of(s->stats_tags[i]->tag_name), s->stats_tags[i]))
			fail_item(k, "stats_tags", (int)i, "a second tag is called '%s'",
			    s->stats_tags[i]->tag_name);
	map_fini(&names);
}

void
check_tag(struct checked *k)
{
	const Envoy__Config__Metrics__V3__TagSpecifier *t = (const void *)k->m;

	if (t->tag_name[0] == '\0')
		fail(k, "tag_name", "is required");
	if (t->tag_value_case == ENVOY__CONFIG__METRICS__V3__TAG_SPECIFIER__TAG_VALUE_REGEX)
		check_pattern(k, "regex", t->regex, REGEX_SEARCH);
}

void
check_buckets(struct checked *k)
{
	const Envoy__Config__Metrics__V3__HistogramBucketSettings *h = (const void *)k->m;

	for (size_t i = 0; i < h->n_buckets; i++) {
		if (!(h->buckets[i] > 0) || isinf(h->buckets[i]))
			fail_item(k, "buckets", (int)i, "must be above 0");
		else if (i > 0 && h->buckets[i] <= h->buckets[i - 1])
			fail_item(k, "buckets", (int)i, "must be above the one before");
	}
}
