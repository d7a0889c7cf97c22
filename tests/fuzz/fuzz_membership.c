/* A membership record of the journal, as a worker takes it into a cluster that has members already. */
#include <stddef.h>
#include <stdint.h>

#include "lib/event/loop.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/cluster_update.h"
#include "lib/upstream/membership.h"
#include "shm/lane.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;

static void
take(struct cluster *c, struct str bytes)
{
	struct cluster_update *u = cluster_update_new(c);
	struct err err;
	int more = cluster_update_record(u, bytes, &err) < 0 ? -1 : 1;

	while (more > 0)
		more = cluster_update_step(u, &err);
	if (more == 0)
		cluster_update_use(u);
	cluster_update_free(&u);
	cluster_pick(c, &(struct lb_context){0});
}

static void
take_some(struct cluster *c)
{
	struct membership_writer w;
	struct endpoint e = {.weight = 1};

	membership_begin(&w, true, 2, 0, 1);
	for (uint32_t i = 0; i < 2; i++) {
		address_from_ip(&e.address, i ? STR("10.0.0.1") : STR("::1"), 80, NULL);
		membership_put(&w, i, &e);
	}
	take(c, strb_str(&w.bytes));
	membership_writer_fini(&w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Envoy__Config__Cluster__V3__Cluster m = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__INIT;
	struct cluster *c;
	struct err err;

	if (loop == NULL) {
		lane_private()->on_demand = false; /* hosts count nowhere */
		loop = loop_new();
	}
	m.name = (char *)(uintptr_t) "api";
	if (cluster_build(&c, &m, loop, &err) < 0)
		return 0;
	take_some(c);
	take(c, str_make((const char *)data, size));
	cluster_unref(&c);
	loop_turn(loop, false);
	loop_turn(loop, false);
	return 0;
}
