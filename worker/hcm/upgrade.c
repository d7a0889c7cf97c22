#include "worker/hcm/upgrade.h"

#include "worker/hcm/config.h"
#include "worker/route/table.h"

static bool
has_token(struct str list, const char *token)
{
	struct str part;

	while (str_cut(&list, ',', &part))
		if (str_ieqz(str_trim(part), token))
			return true;
	return false;
}

struct str
upgrade_type(const struct headers *h)
{
	if (str_eqz(headers_get(h, HDR_METHOD), "CONNECT"))
		return STR("CONNECT");
	if (!headers_has(h, HDR_UPGRADE) || !headers_has(h, HDR_CONNECTION))
		return (struct str){0};
	if (!has_token(headers_joined(h, STR("connection")), "upgrade"))
		return (struct str){0};
	return headers_get(h, HDR_UPGRADE);
}

bool
upgrade_is_allowed(const struct hcm_config *c, const struct route *r, struct str type)
{
	switch (r ? route_upgrade_of(r, type) : UPGRADE_UNSET) {
	case UPGRADE_ON:
		return true;
	case UPGRADE_OFF:
		return false;
	case UPGRADE_UNSET:
		break;
	}
	for (unsigned i = 0; i < c->upgrades_n; i++)
		if (str_ieq(c->upgrades[i].type, type))
			return c->upgrades[i].enabled;
	return false;
}
