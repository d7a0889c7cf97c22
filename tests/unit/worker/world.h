/*
 * A worker's world without master and without a port: a listener's
 * configuration read from YAML, one end of a socket pair given to the
 * connection manager, the other end played by the test.  The clock stands
 * still unless a test moves it.
 */
#ifndef TESTS_WORKER_WORLD_H
#define TESTS_WORKER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/diag.h"
#include "conf/load.h"
#include "conf/resource.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/event/loop.h"
#include "lib/ipc/journal.h"
#include "shm/flags.h"
#include "shm/lane.h"
#include "shm/segment.h"
#include "worker/drain.h"
#include "worker/hcm/config.h"
#include "worker/hcm/hcm.h"
#include "worker/listener/config.h"
#include "worker/snapshot.h"

#define MONO_START (1000 * NS_PER_S)
#define WALL_START (1700000000 * NS_PER_S)

struct world {
	struct loop *loop;
	struct drain drain;
	struct hcm hcm;
	struct hcm_place place;
	struct snapshot *snapshot;
	const struct listener_config *listener;
	uint64_t now_ns;
	int client; /* the test's end of the pair */
	struct strb got;
	bool ended; /* the proxy closed */
};

static const char yaml_node[] = "node: { id: n1, cluster: edge }\n";

__attribute__((unused)) static const char yaml_head[] =
    "static_resources:\n"
    "  listeners:\n"
    "  - name: test\n"
    "    address: { socket_address: { address: 127.0.0.1, port_value: 8000 } }\n"
    "    filter_chains:\n"
    "    - filters:\n"
    "      - name: hcm\n"
    "        typed_config:\n"
    "          '@type': type.googleapis.com/"
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"
    "          stat_prefix: test\n"
    "          route_config:\n"
    "            virtual_hosts:\n"
    "            - name: all\n"
    "              domains: ['*']\n"
    "              routes:\n"
    "              - match: { path: /hello }\n"
    "                direct_response: { status: 200, body: { inline_string: \"hello\\n\" } }\n"
    "              - match: { prefix: / }\n"
    "                direct_response: { status: 404 }\n";

__attribute__((unused)) static const char yaml_router[] =
    "          http_filters:\n"
    "          - name: envoy.filters.http.router\n"
    "            typed_config:\n"
    "              '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n";

__attribute__((unused)) static const char yaml_health[] =
    "          http_filters:\n"
    "          - name: envoy.filters.http.health_check\n"
    "            typed_config:\n"
    "              '@type': "
    "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck\n"
    "              pass_through_mode: false\n"
    "              headers: [{ name: ':path', string_match: { exact: /healthz } }]\n"
    "          - name: envoy.filters.http.router\n"
    "            typed_config:\n"
    "              '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n";

/* ---- the world */

static inline void
append(struct journal *j, enum resource_kind kind, const char *name, const void *m)
{
	struct strb bytes = {0};

	resource_write(&bytes, kind, str_of(name), m);
	assert_int_equal(
	    journal_append(j, (uint16_t)kind, str_of(name), STR("v"), strb_str(&bytes), NULL), 0);
	strb_fini(&bytes);
}

/* As admin does: a bootstrap becomes records of the journal. */
static inline struct journal *
write_journal(const char *yaml)
{
	struct conf_source src = {.inline_yaml = yaml};
	const Envoy__Config__Bootstrap__V3__Bootstrap *b;
	struct journal *j = journal_new(NULL);
	struct strb text = {0};
	struct diag diag;
	struct conf *conf;

	diag_init(&diag);
	if (conf_load(&conf, &src, &diag) < 0) {
		diag_print(&diag, &text, true);
		fail_msg("%s", strb_z(&text));
	}
	b = conf_bootstrap(conf);
	append(j, RESOURCE_BOOTSTRAP, "bootstrap", b);
	for (size_t i = 0; i < b->static_resources->n_listeners; i++)
		append(j, RESOURCE_LISTENER, b->static_resources->listeners[i]->name,
		    b->static_resources->listeners[i]);
	for (size_t i = 0; i < b->static_resources->n_clusters; i++)
		append(j, RESOURCE_CLUSTER, b->static_resources->clusters[i]->name,
		    b->static_resources->clusters[i]);
	diag_fini(&diag);
	conf_free(&conf);
	return j;
}

/* NULL and the reason when it is refused. */
static inline struct snapshot *
build_snapshot(struct loop *l, struct journal *j, struct snapshot *now, struct err *err)
{
	struct snapshot_build *b =
	    snapshot_build_start(l, 0, journal_fd(j), journal_size(j), now, err);
	struct snapshot *s = NULL;
	int more = b ? 1 : -1;

	while (more > 0)
		more = snapshot_build_step(b, err);
	if (more == 0)
		s = snapshot_build_take(b);
	snapshot_build_free(&b);
	return s;
}

static inline void
load(struct world *w, const char *more)
{
	char *yaml = mem_printf("%s%s%s%s", yaml_node, yaml_head,
	    strstr(more, "http_filters") ? "" : yaml_router, more);
	struct journal *j = write_journal(yaml);
	struct err err = {""};

	w->snapshot = build_snapshot(w->loop, j, NULL, &err);
	if (w->snapshot == NULL)
		fail_msg("%s", err.text);
	w->listener = snapshot_listener(w->snapshot, 0);
	journal_free(&j);
	mem_free(yaml);
}

static inline void
set_time(struct world *w, uint64_t ms)
{
	w->now_ns += ms * NS_PER_MS;
	clock_set(w->now_ns, WALL_START + w->now_ns - MONO_START);
}

static inline void
start(struct world *w, const char *more)
{
	*w = (struct world){.client = -1, .now_ns = MONO_START};
	set_time(w, 0);
	lane_private();
	w->loop = loop_new();
	drain_init(&w->drain, 600, false);
	hcm_init(&w->hcm, w->loop, &w->drain, "here");
	load(w, more);
	w->place.config = w->listener->hcm;
	w->place.snapshot = snapshot_ref(w->snapshot);
	w->place.stats = w->listener->stats;
	w->place.worker_stats = w->listener->worker_stats;
}

static inline void
turn(struct world *w)
{
	for (int i = 0; i < 8; i++)
		loop_turn(w->loop, false);
}

static inline void
hang_up(struct world *w)
{
	if (w->client >= 0)
		close(w->client);
	w->client = -1;
	strb_reset(&w->got);
	w->ended = false;
}

static inline void
finish(struct world *w)
{
	hang_up(w);
	turn(w);
	hcm_abort_all(&w->hcm);
	turn(w);
	assert_int_equal(w->hcm.held, 0);
	assert_int_equal(w->place.conns, 0);
	snapshot_unref(&w->place.snapshot);
	snapshot_unref(&w->snapshot);
	turn(w);
	loop_free(&w->loop);
	strb_fini(&w->got);
	clock_set(0, 0);
	shm_set_health_failed(false);
}

static inline void
dial(struct world *w)
{
	int fd[2];
	struct address remote, local;

	hang_up(w);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	address_parse(&remote, STR("10.1.2.3:4567"), NULL);
	address_parse(&local, STR("127.0.0.1:8000"), NULL);
	w->client = fd[1];
	hcm_open(&w->hcm, &w->place, fd[0], &remote, &local);
}

static inline void
receive(struct world *w)
{
	char buf[4096];
	ssize_t n;

	turn(w);
	while ((n = read(w->client, buf, sizeof(buf))) > 0)
		strb_add(&w->got, buf, (size_t)n);
	w->ended |= n == 0;
	turn(w);
}

static inline void
say_n(struct world *w, const void *p, size_t n)
{
	assert_int_equal(write(w->client, p, n), n);
	receive(w);
}

static inline void
say(struct world *w, const char *text)
{
	say_n(w, text, strlen(text));
}

static inline void
later(struct world *w, uint64_t ms)
{
	set_time(w, ms);
	receive(w);
}

static inline bool
has(const struct world *w, const char *what)
{
	return w->got.n && strstr(strb_z(&w->got), what) != NULL;
}

static inline unsigned
count(const struct world *w, const char *what)
{
	unsigned n = 0;

	for (const char *p = strb_z(&w->got); (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

static inline struct http_stats *
stats(const struct world *w)
{
	return w->listener->hcm->stats;
}

/* The counter moved by this much since `was`. */
#define assert_counted(w, name, was, by) assert_int_equal(stats(w)->name.raw - (was), by)

#endif
