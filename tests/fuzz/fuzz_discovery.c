/* Any bytes as a DiscoveryResponse: opened, judged, each sound resource looked at. */
#include <stddef.h>
#include <stdint.h>

#include "admin/xds/response.h"
#include "lib/base/assert.h"
#include "lib/upstream/assignment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xds_response r;
	struct strb reasons = {0};
	unsigned bad = 0;
	struct err err;

	if (xds_response_open(&r, str_make((const char *)data, size), &err) < 0)
		return 0;
	xds_response_judge(&r, XDS_EDS);
	for (size_t i = 0; i < r.resources.len; i++) {
		const struct xds_resource *x = &r.resources.at[i];
		struct assignment a;

		ASSERT((x->message == NULL) == (x->why != NULL));
		bad += x->message == NULL;
		if (x->message && assignment_read(&a, x->message, &err) == 0)
			assignment_fini(&a);
	}
	ASSERT(bad == r.bad);
	xds_response_reasons(&r, &reasons);
	ASSERT((reasons.n > 0) == (r.bad > 0));
	strb_fini(&reasons);
	xds_response_fini(&r);
	return 0;
}
