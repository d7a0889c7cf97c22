#include "conf/types.h"

#include <string.h>

#include "conf/near.h"
#include "envoy/config/route/v3/route_components.pb-c.h"
#include "envoy/config/endpoint/v3/endpoint.pb-c.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb-c.h"
#include "envoy/extensions/clusters/dns/v3/dns_cluster.pb-c.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb-c.h"
#include "envoy/extensions/filters/http/router/v3/router.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "envoy/extensions/health_check/event_sinks/file/v3/file.pb-c.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb-c.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb-c.h"
#include "envoy/extensions/load_balancing_policies/override_host/v3/override_host.pb-c.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb-c.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb-c.h"
#include "envoy/extensions/load_balancing_policies/subset/v3/subset.pb-c.h"
#include "envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.pb-c.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb-c.h"
#include "envoy/extensions/retry/host/omit_canary_hosts/v3/omit_canary_hosts.pb-c.h"
#include "envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config.pb-c.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb-c.h"
#include "envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.pb-c.h"
#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb-c.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb-c.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "lib/base/assert.h"

static const struct message_type types[] = {
#define TYPE(category, full, name, legacy, descriptor)                                             \
	{full, TYPE_##category, name, legacy, &descriptor},
#define LATER(category, full, name, legacy) {full, TYPE_##category, name, legacy, NULL},
#include "conf/types.def"
#undef TYPE
#undef LATER
};

static struct str
after_slash(struct str url)
{
	for (size_t i = url.n; i > 0; i--)
		if (url.p[i - 1] == '/')
			return str_make(url.p + i, url.n - i);
	return url;
}

const struct message_type *
type_by_url(struct str url)
{
	struct str full = after_slash(url);

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_eqz(full, types[i].full_name))
			return &types[i];
	return NULL;
}

const struct message_type *
type_by_name(enum type_category category, struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].category == category &&
		    (str_eqz(name, types[i].name) ||
			(types[i].legacy && str_eqz(name, types[i].legacy))))
			return &types[i];
	return NULL;
}

const struct message_type *
type_of(const ProtobufCMessageDescriptor *descriptor)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].descriptor == descriptor)
			return &types[i];
	return NULL;
}

const char *
type_nearest_url(struct str url)
{
	struct near near;

	near_init(&near, after_slash(url));
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		near_offer(&near, types[i].full_name);
	return near.best;
}

const char *
type_nearest_name(enum type_category category, struct str name)
{
	struct near near;

	near_init(&near, name);
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].category == category)
			near_offer(&near, types[i].name);
	return near.best;
}

const char *
type_category_name(enum type_category category)
{
	static const char *const names[] = {
	    [TYPE_NONE] = "message",
	    [TYPE_RESOURCE] = "resource",
	    [TYPE_NETWORK_FILTER] = "network filter",
	    [TYPE_HTTP_FILTER] = "HTTP filter",
	    [TYPE_ACCESS_LOG] = "access log",
	    [TYPE_LB_POLICY] = "load balancing policy",
	    [TYPE_HTTP_OPTIONS] = "protocol extension",
	    [TYPE_HEALTH_EVENT_SINK] = "health check event sink",
	    [TYPE_CLUSTER] = "cluster type",
	    [TYPE_DNS_RESOLVER] = "DNS resolver",
	    [TYPE_RETRY_HOST] = "retry host predicate",
	    [TYPE_RETRY_PRIORITY] = "retry priority",
	    [TYPE_RETRY_POLICY] = "retry policy",
	};

	return names[category];
}
