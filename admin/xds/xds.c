#include "admin/xds/xds.h"

#include "admin/admin.h"
#include "admin/reload.h"
#include "admin/xds/clusters.h"
#include "admin/xds/identity.h"
#include "admin/xds/source.h"
#include "conf/defaults.h"
#include "conf/message.h"
#include "lib/base/mem.h"

#define FETCH_TIMEOUT_MS 15000

typedef Envoy__Config__Core__V3__ConfigSource ConfigSource;
typedef Envoy__Config__Core__V3__ApiConfigSource ApiConfigSource;
typedef Envoy__Config__Core__V3__PathConfigSource PathConfigSource;

struct xds {
	struct admin *admin;
	struct arena arena;
	const Envoy__Config__Core__V3__Node *node; /* made at first use */
	struct own_clusters clusters;
	struct list sources;
	bool stopped;
};

struct xds *
xds_new(struct admin *a)
{
	struct xds *x = mem_new(struct xds);

	x->admin = a;
	arena_init(&x->arena);
	list_init(&x->sources);
	return x;
}

void
xds_free(struct xds **xp)
{
	struct xds *x = *xp;

	*xp = NULL;
	if (x == NULL)
		return;
	ASSERT(list_empty(&x->sources)); /* whoever subscribed has let go */
	own_clusters_fini(&x->clusters);
	arena_fini(&x->arena);
	mem_free(x);
}

struct admin *
xds_admin(const struct xds *x)
{
	return x->admin;
}

bool
xds_is_stopped(const struct xds *x)
{
	return x->stopped;
}

const Envoy__Config__Core__V3__Node *
xds_node(struct xds *x)
{
	if (x->node == NULL) { /* it cannot change while this process runs, the store can */
		struct strb packed = {0};
		struct arena scratch;

		arena_init(&scratch);
		message_pack(&identity_make(&scratch, x->admin->store.bootstrap->node)->base, &packed);
		arena_fini(&scratch);
		x->node = (void *)message_unpack(&x->arena,
		    &envoy__config__core__v3__node__descriptor, strb_str(&packed), NULL);
		strb_fini(&packed);
		ASSERT(x->node);
	}
	return x->node;
}

bool
xds_cluster_is_resolving(const struct xds *x, struct str name)
{
	const struct member_cluster *c = members_cluster(&x->admin->members, name);

	return c && c->names && !c->initialised;
}

struct cluster *
xds_cluster(struct xds *x, struct str name, struct err *err)
{
	return own_clusters_get(&x->clusters, x->admin, name, err);
}

/* ---- sources */

static const ApiConfigSource *
ads_config_of(const struct store *s)
{
	const Envoy__Config__Bootstrap__V3__Bootstrap *b = s ? s->bootstrap : NULL;

	return b && b->dynamic_resources ? b->dynamic_resources->ads_config : NULL;
}

const ApiConfigSource *
xds_ads_config(const struct xds *x)
{
	const ApiConfigSource *now = ads_config_of(&x->admin->store);

	return now ? now : ads_config_of(reload_next(x->admin->reload));
}

/* What tells sources apart: kind, type, and what they are told. */
static void
write_key(struct strb *out, const ConfigSource *c, enum xds_type_id type)
{
	switch (c->config_source_specifier_case) {
	case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_ADS:
		strb_addz(out, "ads");
		break;
	case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_API_CONFIG_SOURCE:
		strb_printf(out, "own %u ", type);
		message_pack(&c->api_config_source->base, out);
		break;
	case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_PATH:
		strb_printf(out, "path %u %s", type, c->path);
		break;
	default:
		strb_printf(out, "file %u ", type);
		message_pack(&c->path_config_source->base, out);
		break;
	}
}

static struct source *
make_source(struct xds *x, struct str key, const ConfigSource *c, enum xds_type_id type)
{
	PathConfigSource path = ENVOY__CONFIG__CORE__V3__PATH_CONFIG_SOURCE__INIT;

	switch (c->config_source_specifier_case) {
	case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_ADS:
		return sotw_new(x, key, xds_ads_config(x), true, type);
	case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_API_CONFIG_SOURCE:
		return sotw_new(x, key, c->api_config_source, false, type);
	case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_PATH:
		path.path = c->path;
		return file_source_new(x, key, &path, type);
	default:
		return file_source_new(x, key, c->path_config_source, type);
	}
}

static struct source *
source_for(struct xds *x, const ConfigSource *c, enum xds_type_id type)
{
	struct strb key = {0};
	struct source *s;

	write_key(&key, c, type);
	list_for_each(n, &x->sources)
	{
		s = list_entry(n, struct source, node);
		if (str_eq(strb_str(&s->key), strb_str(&key))) {
			strb_fini(&key);
			return s;
		}
	}
	s = make_source(x, strb_str(&key), c, type);
	list_push_back(&x->sources, &s->node);
	if (!x->stopped)
		s->kind->resume(s);
	strb_fini(&key);
	return s;
}

/* ---- subscriptions */

void
xds_subscribe(struct xds *x, struct subscription *s, enum xds_type_id type, struct str name,
    const ConfigSource *config, const struct subscription_events *events, void *arg)
{
	struct source *from = source_for(x, config, type);

	subscription_begin(s, from, type, name,
	    conf_duration_ms(config->initial_fetch_timeout, FETCH_TIMEOUT_MS), events, arg);
	list_push_back(&from->subscriptions[type], &s->node);
	from->kind->changed(from, type);
}

static bool
is_wanted(const struct source *s)
{
	for (unsigned i = 0; i < XDS_TYPES; i++)
		if (!list_empty(&s->subscriptions[i]))
			return true;
	return false;
}

void
xds_unsubscribe(struct subscription *s)
{
	struct source *from = s->source;

	if (from == NULL)
		return;
	source_settle(from);
	subscription_end(s);
	if (is_wanted(from))
		from->kind->changed(from, s->type);
	else
		from->kind->free(&from);
}

/* ---- life */

void
xds_reloaded(struct xds *x)
{
	own_clusters_prune(&x->clusters, x->admin);
	list_for_each(n, &x->sources)
	{
		struct source *s = list_entry(n, struct source, node);

		if (!x->stopped)
			s->kind->reloaded(s);
	}
}

void
xds_settle(struct xds *x)
{
	list_for_each(n, &x->sources) source_settle(list_entry(n, struct source, node));
}

void
xds_stop(struct xds *x)
{
	if (x->stopped)
		return;
	x->stopped = true;
	list_for_each(n, &x->sources)
	{
		struct source *s = list_entry(n, struct source, node);

		s->kind->stop(s);
	}
	own_clusters_fini(&x->clusters); /* connections, too */
}

void
xds_resume(struct xds *x)
{
	if (!x->stopped)
		return;
	x->stopped = false;
	list_for_each(n, &x->sources)
	{
		struct source *s = list_entry(n, struct source, node);

		s->kind->resume(s);
	}
}
