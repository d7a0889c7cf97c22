#include "lib/upstream/blocks.h"

#include "lib/net/address.h"
#include "shm/block.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"

typedef Envoy__Config__Cluster__V3__Cluster Cluster;

const char *const codes_set_names[CODES_SETS] = {
    [CODES_RETRY] = "retry.",
    [CODES_CANARY] = "canary.",
    [CODES_INTERNAL] = "internal.",
    [CODES_EXTERNAL] = "external.",
};

void
cluster_block_prefix(struct strb *out, const void *msg)
{
	const Cluster *c = msg;
	bool alt = c->alt_stat_name && c->alt_stat_name[0];

	strb_addz(out, "cluster.");
	stat_name_add(out, str_of(alt ? c->alt_stat_name : c->name));
	strb_addc(out, '.');
}

void
zone_block_prefix(struct strb *out, struct str cluster_prefix, struct str from, struct str to)
{
	strb_adds(out, cluster_prefix);
	strb_addz(out, "zone.");
	stat_name_add(out, from);
	strb_addc(out, '.');
	stat_name_add(out, to);
	strb_addc(out, '.');
}

void
host_block_prefix(struct strb *out, struct str cluster, const struct address *a)
{
	char text[ADDRESS_TEXT];
	size_t n = address_format(a, text);

	strb_adds(out, cluster);
	strb_addc(out, '|');
	strb_add(out, text, n);
	strb_addc(out, '|');
}
