#include "conf/extension.h"

#include "conf/diag.h"
#include "conf/message.h"
#include "conf/node.h"
#include "conf/where.h"
#include "envoy/config/accesslog/v3/accesslog.pb-c.h"
#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/config/core/v3/extension.pb-c.h"
#include "envoy/config/listener/v3/listener_components.pb-c.h"
#include "envoy/config/route/v3/route_components.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"

#define HTTP_FILTER                                                                                \
	(&envoy__extensions__filters__network__http_connection_manager__v3__http_filter__descriptor)
#define LB_POLICY (&envoy__config__cluster__v3__load_balancing_policy__policy__descriptor)
#define HEALTH_CHECK (&envoy__config__core__v3__health_check__descriptor)
#define TYPED_EXTENSION (&envoy__config__core__v3__typed_extension_config__descriptor)
#define PROTOCOL_OPTIONS                                                                           \
	(&envoy__config__cluster__v3__cluster__typed_extension_protocol_options_entry__descriptor)

enum type_category
extension_category(const struct where *w)
{
	if (w->type == &envoy__config__listener__v3__filter__descriptor)
		return TYPE_NETWORK_FILTER;
	if (w->type == HTTP_FILTER)
		return TYPE_HTTP_FILTER;
	if (w->type == &envoy__config__accesslog__v3__access_log__descriptor)
		return TYPE_ACCESS_LOG;
	if (w->type == TYPED_EXTENSION && w->up && w->up->type == LB_POLICY)
		return TYPE_LB_POLICY;
	if (w->type == TYPED_EXTENSION && w->up && w->up->type == HEALTH_CHECK)
		return TYPE_HEALTH_EVENT_SINK;
	if (w->type == &envoy__config__cluster__v3__cluster__custom_cluster_type__descriptor)
		return TYPE_CLUSTER;
	if (w->type == TYPED_EXTENSION && w->up && str_eqz(w->field, "typed_dns_resolver_config"))
		return TYPE_DNS_RESOLVER;
	if (w->type == &envoy__config__route__v3__retry_policy__retry_host_predicate__descriptor)
		return TYPE_RETRY_HOST;
	if (w->type == &envoy__config__route__v3__retry_policy__retry_priority__descriptor)
		return TYPE_RETRY_PRIORITY;
	if (w->type == &envoy__config__route__v3__virtual_host__descriptor ||
	    w->type == &envoy__config__route__v3__route_action__descriptor)
		return TYPE_RETRY_POLICY;
	if (w->type == PROTOCOL_OPTIONS)
		return TYPE_HTTP_OPTIONS;
	return TYPE_NONE;
}

static const struct node *
child(const struct node *map, const char *field)
{
	if (!map || map->kind != NODE_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->count; i++)
		if (field_is_called(field, map->pairs[i].key->text))
			return map->pairs[i].value;
	return NULL;
}

/* Does the name and typed_config in this mapping name something that nobody has? */
static bool
is_of_unknown_type(const struct node *extension, enum type_category category)
{
	const struct node *config = child(extension, "typed_config"),
			  *name = child(extension, "name");
	const struct node *url =
	    config && config->kind == NODE_MAP ? node_get(config, STR("@type")) : NULL;

	if (url && url->kind == NODE_SCALAR) {
		if (str_ends(url->text, STR(".TypedStruct")))
			url = child(config, "type_url");
		return url && url->kind == NODE_SCALAR && !type_by_url(url->text);
	}
	return name && name->kind == NODE_SCALAR && !type_by_name(category, name->text);
}

static void
warn_left_out(
    struct message_build *b, const struct where *w, const char *what, const struct node *extension)
{
	const struct node *name = child(extension, "name");
	struct str called = name && name->kind == NODE_SCALAR ? name->text : STR("");

	where_warn(b->diag, w, "%s '" STR_FMT "' is of an unknown type and left out", what,
	    STR_ARG(called));
}

bool
extension_is_left_out(
    struct message_build *b, const ProtobufCMessageDescriptor *item, const struct where *w)
{
	const struct node *n = w->node, *optional;

	if (item == HTTP_FILTER) {
		optional = child(n, "is_optional");
		if (!optional || optional->kind != NODE_SCALAR ||
		    !str_ieqz(optional->text, "true") || !is_of_unknown_type(n, TYPE_HTTP_FILTER))
			return false;
		warn_left_out(b, w, "optional HTTP filter", n);
		return true;
	}
	if (item == LB_POLICY) {
		n = child(n, "typed_extension_config");
		if (!n || !is_of_unknown_type(n, TYPE_LB_POLICY))
			return false;
		warn_left_out(b, w, "load balancing policy", n);
		return true;
	}
	return false;
}
