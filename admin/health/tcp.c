/*
 * The TCP check: a connection, and perhaps bytes that are sent and bytes
 * that must come back, in this order, with anything between them.
 */
#include "admin/health/probe.h"
#include "conf/payload.h"

typedef Envoy__Config__Core__V3__HealthCheck HealthCheck;

#define KEPT (64u * 1024) /* a host that talks without end is not remembered from its first byte */

struct tcp_settings {
	struct str send;
	struct str *receive;
	size_t receive_n;
};

static int
configure(struct probe_settings *s, const HealthCheck *message, struct arena *a, struct err *err)
{
	const Envoy__Config__Core__V3__HealthCheck__TcpHealthCheck *m = message->tcp_health_check;
	struct tcp_settings *x = arena_new(a, struct tcp_settings);

	s->own = x;
	s->wire = WIRE_BYTES;
	if (m->send)
		x->send = payload_read(m->send, a);
	x->receive_n = m->n_receive;
	x->receive = arena_zalloc(a, x->receive_n * sizeof(*x->receive));
	for (size_t i = 0; i < x->receive_n; i++)
		x->receive[i] = payload_read(m->receive[i], a);
	if (x->receive_n == 0) /* what would be kept says nothing the next time */
		s->reuse_connection = false;
	return 0;
}

static void
ask(struct probe *p)
{
	const struct tcp_settings *x = p->settings->own;

	wire_send(p->wire, x->send);
	if (x->receive_n == 0)
		probe_answer(p, (struct probe_verdict){.result = PROBE_PASSED});
}

static enum probe_result
match(struct probe *p, struct buf *bytes)
{
	const struct tcp_settings *x = p->settings->own;

	if (probe_holds(x->receive, x->receive_n, bytes))
		return PROBE_PASSED;
	if (bytes->len > KEPT)
		return PROBE_FAILED;
	return PROBE_WAITS;
}

const struct probe_kind tcp_check = {
    .name = "TCP",
    .configure = configure,
    .ask = ask,
    .match = match,
};
