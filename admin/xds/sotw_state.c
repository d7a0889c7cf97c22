#include "admin/xds/sotw_state.h"

#include "lib/http/grpc.h"

typedef Envoy__Service__Discovery__V3__DiscoveryRequest DiscoveryRequest;
typedef Google__Rpc__Status Status;

void
sotw_state_fini(struct sotw_state *t)
{
	strb_fini(&t->version);
	strb_fini(&t->nonce);
	strb_fini(&t->refused);
}

void
sotw_state_begin(struct sotw_state *t, bool wanted)
{
	strb_reset(&t->nonce);
	strb_reset(&t->refused);
	t->asked = false;
	t->owed = wanted;
}

void
sotw_state_changed(struct sotw_state *t)
{
	t->owed = true;
}

static void
keep(struct strb *b, struct str value)
{
	strb_reset(b);
	strb_adds(b, value);
}

void
sotw_state_answered(
    struct sotw_state *t, struct str version, struct str nonce, struct str reasons)
{
	keep(&t->nonce, nonce);
	keep(&t->refused, reasons);
	for (size_t i = 0; i < t->refused.n; i++) /* a string of protobuf is UTF-8 */
		if (t->refused.p[i] < ' ' || t->refused.p[i] == 0x7f)
			t->refused.p[i] = '?';
	if (reasons.n == 0)
		keep(&t->version, version);
	t->owed = true;
}

/* protobuf-c wants char *, and only reads. */
static char *
text(const struct strb *b)
{
	return (char *)strb_z(b);
}

void
sotw_state_request(struct sotw_state *t, DiscoveryRequest *out, Status *detail, char *type_url,
    char **names, size_t n)
{
	*out = (DiscoveryRequest)ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_REQUEST__INIT;
	out->version_info = text(&t->version);
	out->response_nonce = text(&t->nonce);
	out->type_url = type_url;
	out->resource_names = names;
	out->n_resource_names = n;
	if (t->refused.n) {
		*detail = (Status)GOOGLE__RPC__STATUS__INIT;
		detail->code = GRPC_INTERNAL;
		detail->message = text(&t->refused);
		out->error_detail = detail;
	}
}

void
sotw_state_sent(struct sotw_state *t)
{
	t->owed = false;
	t->asked = true;
	strb_reset(&t->refused);
}
