#include "admin/xds/identity.h"

#include <stdio.h>

#include "conf/message.h"

typedef Envoy__Config__Core__V3__Node Node;
typedef Envoy__Config__Core__V3__BuildVersion BuildVersion;
typedef Envoy__Type__V3__SemanticVersion Version;

/* Of what Envoy says of itself, what holds here. */
static char *features[] = {
    "envoy.lb.does_not_support_overprovisioning",
    "xds.config.resource-in-sotw",
};

static BuildVersion *
our_version(struct arena *a)
{
	BuildVersion *b =
	    (void *)message_new(a, &envoy__config__core__v3__build_version__descriptor);
	Version *v = (void *)message_new(a, &envoy__type__v3__semantic_version__descriptor);
	unsigned major = 0, minor = 0, patch = 0;

	sscanf(BATON_VERSION, "%u.%u.%u", &major, &minor, &patch);
	v->major_number = major;
	v->minor_number = minor;
	v->patch = patch;
	b->version = v;
	return b;
}

const Node *
identity_make(struct arena *a, const Node *n)
{
	Node *made = (void *)message_new(a, &envoy__config__core__v3__node__descriptor);

	if (n)
		*made = *n; /* shares everything below: messages are immutable */
	if (made->user_agent_name[0] == '\0')
		made->user_agent_name = "baton";
	if (made->user_agent_version_type_case == 0) {
		made->user_agent_version_type_case =
		    ENVOY__CONFIG__CORE__V3__NODE__USER_AGENT_VERSION_TYPE_USER_AGENT_BUILD_VERSION;
		made->user_agent_build_version = our_version(a);
	}
	if (made->n_client_features == 0) {
		made->client_features = features;
		made->n_client_features = sizeof(features) / sizeof(features[0]);
	}
	return made;
}
