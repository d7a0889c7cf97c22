/*
 * The terminal filter `envoy.filters.http.router`: takes the route's
 * answer or sends the request to a host of the route's cluster, and turns
 * everything that can go wrong there into the reply Envoy gives.
 */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

struct http_filter;

extern const struct http_filter router_filter;

#endif
