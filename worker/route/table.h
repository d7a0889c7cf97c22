/*
 * A compiled RouteConfiguration: immutable, part of a snapshot.  Virtual
 * hosts are found by hash (exact), then by longest suffix, longest prefix,
 * "*"; within one, exact paths and prefixes are found without walking the
 * whole list, and still the first route in list order that matches wins.
 */
#ifndef ROUTE_TABLE_H
#define ROUTE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/http/headers.h"

struct cluster;
struct criteria;
struct hash_policies;
struct header_ops;
struct retry_policy;
struct route_table;
struct snapshot;
struct stream_info;
struct vhost;

enum route_kind {
	ROUTE_CLUSTER,
	ROUTE_REDIRECT,
	ROUTE_DIRECT,
};

enum route_upgrade {
	UPGRADE_UNSET, /* the HCM decides */
	UPGRADE_ON,
	UPGRADE_OFF,
};

/* What the virtual host wants to be told of attempts. */
struct attempt_headers {
	bool count_in_request, count_in_response; /* x-envoy-attempt-count */
	bool is_timeout_retry;                    /* x-envoy-is-timeout-retry */
};

/* How requests are sent.  Routes that stand together and say the same share one: of many routes it is
 * in the cache whoever was asked last.  Of a route to no cluster nothing is set. */
struct route_policy {
	uint64_t timeout_ms;                       /* 15,000 by default; 0 = off */
	const struct header *timeout_line;         /* timeout_ms as x-envoy-expected-rq-timeout-ms */
	const struct retry_policy *retry;          /* of the route, else of its virtual host; NULL: none */
	const struct hash_policies *hash_policies; /* NULL: none */
	const struct criteria *criteria;           /* metadata_match, envoy.lb; NULL: none */
	uint32_t request_buffer_limit;             /* per_request_buffer_limit_bytes; UINT32_MAX: none */
	unsigned cluster_not_found_status;         /* 503, 404, 500 */
	bool has_idle_timeout, has_max_stream_duration, has_grpc_timeout_max;
	bool high_priority;
	bool hedge; /* on per-try timeout */
	struct attempt_headers attempts;
	uint64_t idle_timeout_ms, max_stream_duration_ms;
	uint64_t grpc_timeout_max_ms, grpc_timeout_offset_ms;
};

/* What few requests ask. */
struct route_rest {
	const struct vhost *vhost;
	struct str cluster; /* ROUTE_CLUSTER */
	unsigned direct_status; /* ROUTE_DIRECT */
	struct str direct_body;
};

struct route {
	uint8_t kind; /* enum route_kind */
	/* No level has anything to change: nobody looks. */
	bool keeps_request, keeps_response;
	struct str name;    /* "" when not given */
	struct cluster *to; /* borrowed from the snapshot; NULL: it has no such cluster */
	const struct route_policy *policy;
	const struct route_rest *rest;
};

int route_table_build(
    struct route_table **out, const void *route_configuration, struct arena *arena, struct err *err);
/* Routes find the clusters that they name. */
void route_table_resolve(struct route_table *t, const struct snapshot *s);

/* The route for a request (pseudo-headers :authority and :path present), or NULL. */
const struct route *route_table_find(const struct route_table *t, const struct headers *request);
struct str route_vhost_name(const struct route *r);
/* internal_only_headers: taken off requests from outside. */
void route_table_strip_internal(const struct route_table *t, struct headers *request);

/* Is this upgrade type ("websocket") decided by the route? */
enum route_upgrade route_upgrade_of(const struct route *r, struct str type);

/* Before the request goes upstream: path and host rewrites, header additions and removals of route,
 * virtual host and table.  Adds x-envoy-original-path when the path changed and !suppress. */
void route_rewrite_request(
    const struct route *r, struct headers *request, const struct stream_info *info, bool suppress);
/* Response additions and removals. */
void route_rewrite_response(
    const struct route *r, struct headers *response, const struct stream_info *info);
/* ROUTE_REDIRECT: status, and the location in the arena. */
unsigned route_redirect(
    const struct route *r, const struct headers *request, struct arena *arena, struct str *location);

#endif
