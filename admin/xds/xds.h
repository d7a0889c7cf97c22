/*
 * The client of control planes: who wants which resource from where.
 * Equal sources are asked once; one stream carries all of their names.
 */
#ifndef XDS_XDS_H
#define XDS_XDS_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/xds/subscription.h"
#include "envoy/config/core/v3/base.pb-c.h"
#include "envoy/config/core/v3/config_source.pb-c.h"

struct admin;
struct cluster;
struct xds;

struct xds *xds_new(struct admin *a);
void xds_free(struct xds **xp);

struct admin *xds_admin(const struct xds *x);

/* s->numbers is filled; config and name are borrowed for the call. */
void xds_subscribe(struct xds *x, struct subscription *s, enum xds_type_id type, struct str name,
    const Envoy__Config__Core__V3__ConfigSource *config, const struct subscription_events *events,
    void *arg);
void xds_unsubscribe(struct subscription *s); /* harmless when it is not subscribed */

/* Another configuration is in force: streams go to where it says. */
void xds_reloaded(struct xds *x);
/* This generation drains, or serves again. */
void xds_stop(struct xds *x);
void xds_resume(struct xds *x);
bool xds_is_stopped(const struct xds *x);

/* Members are about to change by other hands, or to go: what is being given out is given out now. */
void xds_settle(struct xds *x);

/* ---- for streams */

/* Who we are, as control planes are told. */
const Envoy__Config__Core__V3__Node *xds_node(struct xds *x);
/* Its names are being asked for the first time: it is no use to call it yet. */
bool xds_cluster_is_resolving(const struct xds *x, struct str name);
/* A cluster of the configuration in force, built for admin's own use; NULL: there is none. */
struct cluster *xds_cluster(struct xds *x, struct str name, struct err *err);

/* dynamic_resources.ads_config of the configuration in force. */
const Envoy__Config__Core__V3__ApiConfigSource *xds_ads_config(const struct xds *x);

#endif
