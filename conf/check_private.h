/* What the checks of single messages share; only conf/check_*.c and conf/rules.c include this. */
#ifndef CONF_CHECK_PRIVATE_H
#define CONF_CHECK_PRIVATE_H

#include "conf/check.h"
#include "conf/diag.h"
#include "conf/message.h"
#include "conf/where.h"
#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "lib/base/err.h"

/* The message under the check's hands, and its place. */
struct checked {
	struct check *c;
	const ProtobufCMessage *m;
	const struct where *w;
};

/* Every row of conf/rules/fields.def, deprecated.def and ignored.def about this message. */
void rules_check(struct checked *k);

/* The place of a field (index ≥ 0: of an item) as it was written, else of the message. */
struct where checked_field(const struct checked *k, const char *field, int index);
bool checked_written(const struct checked *k, const char *field);
bool checked_wrote_unsupported(const struct checked *k); /* a field that was refused for that */

void fail(struct checked *k, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void fail_item(struct checked *k, const char *field, int index, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void fail_near(struct checked *k, const char *field, const char *near, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void warn(struct checked *k, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Of a message further below: `path` leads from the checked one to `inner`. */
void fail_below(struct checked *k, const char *path, const ProtobufCMessage *inner,
    const char *field, const char *near, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

#define NOT_YET "known to Envoy but not supported by baton yet"

bool is_ip(const char *text, bool *v6);
bool is_header_name(
    struct str name, bool pseudo); /* a token; with pseudo also ":path" and its like */
bool is_header_value(struct str value);

/* %OPERATOR% syntax and names; 0, or -1 with the reason. */
int format_check(struct str format, const char **near, struct err *err);

void check_cluster_lb(struct checked *k); /* conf/check_lb.c; a part of check_cluster() */

/* conf/check_dns.c; parts of it too.  The first: of a cluster with a cluster_type. */
bool is_logical_dns(struct checked *k, const Envoy__Config__Cluster__V3__Cluster *c);
void check_cluster_dns(struct checked *k, bool resolves_names);

#define CHECK(message, function) void function(struct checked *k);
#include "conf/checks.def"
#undef CHECK

#endif
