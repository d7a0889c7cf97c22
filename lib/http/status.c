/* Reason phrases by code, from status.def.  Pure; any process. */
#include "lib/http/status.h"

static const struct str reasons[600] = {
#define STATUS(code, reason) [code] = {reason, sizeof(reason) - 1},
#include "lib/http/status.def"
#undef STATUS
};

struct str
status_reason(unsigned code)
{
	if (code < 600 && reasons[code].p)
		return reasons[code];
	return STR("Unknown");
}
