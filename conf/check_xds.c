/* Soundness of configuration sources: who is asked for dynamic resources, and whether it can be. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/check_private.h"
#include "conf/defaults.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "envoy/config/core/v3/config_source.pb-c.h"
#include "envoy/config/core/v3/grpc_service.pb-c.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb-c.h"

#define Bootstrap Envoy__Config__Bootstrap__V3__Bootstrap
#define Cluster Envoy__Config__Cluster__V3__Cluster
#define HttpOptions Envoy__Extensions__Upstreams__Http__V3__HttpProtocolOptions
#define EDS ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS

static bool
speaks_http2(struct checked *k, const Cluster *c)
{
	for (size_t i = 0; i < c->n_typed_extension_protocol_options; i++) {
		const HttpOptions *o = (const void *)any_open(k->c->arena,
		    &c->typed_extension_protocol_options[i]->value->base,
		    &envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor, NULL);

		if (o && o->explicit_http_config && o->explicit_http_config->http2_protocol_options)
			return true;
	}
	return c->http2_protocol_options != NULL;
}

/* The cluster of a control plane cannot itself wait for one. */
static void
check_grpc_cluster(struct checked *k, int index, const char *name)
{
	const Cluster *c = map_get(&k->c->clusters, str_of(name));

	if (name[0] == '\0' || k->c->bootstrap == NULL)
		return;
	if (!c)
		fail_item(k, "grpc_services", index, "unknown cluster '%s'", name);
	else if (c->cluster_discovery_type_case ==
		     ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE &&
		 c->type == EDS)
		fail_item(k, "grpc_services", index,
		    "cluster '%s' is of type EDS: a control plane's cluster must be static or resolved by name",
		    name);
	else if (!speaks_http2(k, c))
		fail_item(k, "grpc_services", index,
		    "cluster '%s' does not speak HTTP/2, which gRPC needs: give it http2_protocol_options",
		    name);
}

/* A control plane tells its clients apart by these. */
static void
check_node(struct checked *k)
{
	const Bootstrap *b = k->c->bootstrap;

	if (b && (!b->node || b->node->id[0] == '\0' || b->node->cluster[0] == '\0'))
		fail(k, NULL,
		    "node.id and node.cluster are required for xDS: set them in node, or by --service-node and --service-cluster");
}

static void
check_rate(struct checked *k, const Envoy__Config__Core__V3__RateLimitSettings *r)
{
	double rate = r ? conf_double(r->fill_rate, 10) : 1;

	if (!(rate > 0 && rate <= 1e6))
		fail(k, "rate_limit_settings", "fill_rate must be above 0 and at most 1000000");
	if (r && conf_u32(r->max_tokens, 100) == 0)
		fail(k, "rate_limit_settings", "max_tokens must be at least 1");
}

void
check_api_config_source(struct checked *k)
{
	const Envoy__Config__Core__V3__ApiConfigSource *s = (const void *)k->m;

	if (s->transport_api_version == ENVOY__CONFIG__CORE__V3__API_VERSION__AUTO)
		fail(k, "transport_api_version", "must be V3: AUTO meant V2");
	for (size_t i = 0; i < s->n_grpc_services; i++)
		if (s->grpc_services[i]->envoy_grpc)
			check_grpc_cluster(k, (int)i, s->grpc_services[i]->envoy_grpc->cluster_name);
	check_rate(k, s->rate_limit_settings);
	check_node(k);
}

void
check_config_source(struct checked *k)
{
	const Envoy__Config__Core__V3__ConfigSource *s = (const void *)k->m;
	const Bootstrap *b = k->c->bootstrap;
	struct stat st;

	if (s->config_source_specifier_case ==
		ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_PATH &&
	    stat(s->path, &st) < 0)
		fail(k, "path", "'%s': %s", s->path, strerror(errno));
	if (s->config_source_specifier_case ==
		ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_ADS &&
	    b && !(b->dynamic_resources && b->dynamic_resources->ads_config))
		fail(k, "ads", "there is no dynamic_resources.ads_config in this bootstrap");
}

/* As Envoy: it must be there at the start; what is in it may be wrong later. */
void
check_path_config_source(struct checked *k)
{
	const Envoy__Config__Core__V3__PathConfigSource *s = (const void *)k->m;
	const char *directory = s->watched_directory ? s->watched_directory->path : "";
	struct stat st;

	if (s->path[0] && stat(s->path, &st) < 0)
		fail(k, "path", "'%s': %s", s->path, strerror(errno));
	if (directory[0] && stat(directory, &st) < 0)
		fail(k, "watched_directory", "'%s': %s", directory, strerror(errno));
	else if (directory[0] && !S_ISDIR(st.st_mode))
		fail(k, "watched_directory", "'%s' is not a directory", directory);
}

void
check_backoff(struct checked *k)
{
	const Envoy__Config__Core__V3__BackoffStrategy *b = (const void *)k->m;

	if (b->base_interval && b->max_interval &&
	    conf_duration_ms(b->max_interval, 0) < conf_duration_ms(b->base_interval, 0))
		fail(k, "max_interval", "must not be less than base_interval");
}
