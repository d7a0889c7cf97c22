/*
 * The one way from text to a checked configuration: read, parse, build the
 * messages, check ranges and references.  Admin runs it at start, at a
 * reload, and for `--mode validate` and `--print-config`.
 *
 *   struct diag diag;
 *   struct conf *conf;
 *   diag_init(&diag);
 *   if (conf_load(&conf, &source, &diag) < 0) …diag_print(&diag, &text, false)…
 *   bootstrap = conf_bootstrap(conf);
 *
 * A conf owns every message and string below its bootstrap; they are
 * immutable and freed as one.
 */
#ifndef CONF_LOAD_H
#define CONF_LOAD_H

#include <stdbool.h>

#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"

struct conf;
struct diag;

struct conf_source {
	const char *path; /* -c; NULL for none; ".json" is read as JSON, anything else as YAML */
	const char *
	    inline_yaml; /* --config-yaml, merged over the file as protobuf merges; NULL for none */
	const char *service_node, *service_cluster,
	    *service_zone; /* win over `node`; NULL: not given */
	bool
	    allow_unknown_fields; /* --allow-unknown-static-fields: a warning instead of an error */
};

/* 0 with *out (warnings in diag), or -1 with every error in diag. */
int conf_load(struct conf **out, const struct conf_source *src, struct diag *diag);
void conf_free(struct conf **conf);

const Envoy__Config__Bootstrap__V3__Bootstrap *conf_bootstrap(const struct conf *conf);

#endif
