/*
 * The table of endpoints, and the one way into them.  An endpoint reads
 * its request and fills the reply; it runs in admin's loop, so what takes
 * long goes in slices (web/request.h).
 */
#ifndef WEB_ENDPOINTS_H
#define WEB_ENDPOINTS_H

#include <stdbool.h>

#include "admin/web/request.h"

struct admin;

enum param_kind {
	PARAM_STRING,
	PARAM_FLAG,
	PARAM_CHOICE,
};

/* An endpoint (path is set), or a parameter of the endpoint before it. */
struct endpoint_row {
	const char *path; /* NULL: a parameter */
	bool changes;     /* needs POST */
	void (*fn)(struct admin *a, const struct web_request *q, struct web_reply *r);
	const char *name;    /* parameter */
	enum param_kind kind;
	const char *choices; /* separated by spaces */
	const char *help;
};

extern const struct endpoint_row endpoint_rows[];
extern const size_t endpoint_row_count;

/* Workers are reached through master: false, and a 503 in the reply, when it is gone. */
bool web_reaches_workers(const struct admin *a, struct web_reply *r);

/* Finds the endpoint, checks the method, answers. */
void endpoint_call(struct admin *a, const struct web_request *q, struct web_reply *r);

/* "admin commands are:\n…" */
void endpoint_help(struct strb *out);

#define ENDPOINT(fn, path, method, help)                                                           \
	void web_##fn(struct admin *a, const struct web_request *q, struct web_reply *r);
#define PARAM(name, kind, choices, help)
#include "admin/web/endpoints.def"
#undef ENDPOINT
#undef PARAM

#endif
