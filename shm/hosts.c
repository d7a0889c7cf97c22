#include "shm/hosts.h"

#include "lib/base/assert.h"

/* In the order in which they are shown. */
static const struct {
	enum host_flag flag;
	const char *text;
} shown[] = {
    {HOST_FAILED_ACTIVE_HC, "/failed_active_hc"},
    {HOST_FAILED_OUTLIER, "/failed_outlier_check"},
    {HOST_FAILED_EDS, "/failed_eds_health"},
    {HOST_DEGRADED_ACTIVE_HC, "/degraded_active_hc"},
    {HOST_DEGRADED_EDS, "/degraded_eds_health"},
    {HOST_PENDING_REMOVAL, "/pending_dynamic_removal"},
    {HOST_PENDING_ACTIVE_HC, "/pending_active_hc"},
    {HOST_EXCLUDED_IMMEDIATE_HC_FAIL, "/excluded_via_immediate_hc_fail"},
    {HOST_ACTIVE_HC_TIMEOUT, "/active_hc_timeout"},
    {HOST_EDS_DRAINING, "/eds_status_draining"},
    {HOST_OPERATOR_DRAIN, "/operator_drain"},
    {HOST_OPERATOR_FAIL, "/operator_fail"},
};

void
host_cell_take(struct host_cell *c, const struct host_cell *known)
{
	static const struct host_cell nothing;
	const struct host_cell *from = known ? known : &nothing;

	c->consecutive_5xx = from->consecutive_5xx;
	c->consecutive_gateway = from->consecutive_gateway;
	c->consecutive_local = from->consecutive_local;
	c->ejections = from->ejections;
	c->ejection_steps = from->ejection_steps;
	c->ejected_ns = from->ejected_ns;
	c->returned_ns = from->returned_ns;
	host_cell_begins(c, from->since_ns);
	__atomic_store_n(&c->flags, from->flags, __ATOMIC_RELEASE);
}

void
host_prefix(struct strb *out, struct str cluster, struct str address)
{
	strb_adds(out, cluster);
	strb_addc(out, '|');
	strb_adds(out, address);
	strb_addc(out, '|');
}

void
host_flags_print(struct strb *out, uint32_t flags)
{
	size_t before = out->n;

	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		if (flags & shown[i].flag)
			strb_addz(out, shown[i].text);
	if (out->n == before)
		strb_addz(out, "healthy");
}
