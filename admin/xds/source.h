/*
 * Where resources come from: a stream to a control plane (sotw.c) or a
 * file (file.c).  Equal ConfigSources are one source, whoever names them;
 * it lives while somebody is subscribed.
 */
#ifndef XDS_SOURCE_H
#define XDS_SOURCE_H

#include "admin/xds/response.h"
#include "admin/xds/subscription.h"
#include "lib/base/list.h"
#include "lib/event/work.h"

struct admin;
struct source;
struct xds;

struct source_kind {
	/* The set of names of a type changed. */
	void (*changed)(struct source *s, enum xds_type_id type);
	void (*stop)(struct source *s);   /* this generation drains: let go of the outside */
	void (*resume)(struct source *s); /* it serves again */
	void (*reloaded)(struct source *s); /* another configuration is in force */
	void (*free)(struct source **sp);
};

/* Embedded first in what the kinds make. */
struct source {
	struct list node; /* of xds */
	const struct source_kind *kind;
	struct xds *xds;
	struct strb key;  /* the ConfigSource, packed without its timeouts */
	struct list subscriptions[XDS_TYPES];
	struct work delivering; /* a response is judged and given out, in slices */
};

void source_init(struct source *s, struct xds *x, const struct source_kind *kind, struct str key);
void source_fini(struct source *s);

/* fn(arg) judges what came and gives it out.  What came before is given out first. */
void source_work(struct source *s, void (*fn)(void *arg), void *arg);
/* Now, whatever is still on its way: what it is given to is about to change. */
void source_settle(struct source *s);

struct loop *source_loop(const struct source *s);
struct admin *source_admin(const struct source *s);

/* Gives the resources of a judged response to those who want them; what was refused, also by
 * them, is added to `reasons`. */
void source_deliver(
    struct source *s, enum xds_type_id type, struct xds_response *r, struct strb *reasons);
/* All of a response is refused. */
void source_reject(struct source *s, enum xds_type_id type);
void source_fail(struct source *s);

/* ---- the kinds.  Their messages are borrowed. */

/* ApiConfigSource; label is for logs: "ADS", "EDS". */
struct source *sotw_new(struct xds *x, struct str key, const void *api_config_source, bool ads,
    enum xds_type_id own_type);
/* PathConfigSource, or a path alone. */
struct source *file_source_new(
    struct xds *x, struct str key, const void *path_config_source, enum xds_type_id type);

#endif
