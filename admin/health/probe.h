/*
 * Asking one host once: the part that all kinds of checks share, which
 * keeps the connection between questions, and the contract of a kind
 * (health.def).  A probe is embedded in its check; nothing in here knows
 * thresholds or intervals.
 */
#ifndef ADMIN_HEALTH_PROBE_H
#define ADMIN_HEALTH_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/health/wire.h"
#include "envoy/config/core/v3/health_check.pb-c.h"
#include "lib/base/arena.h"
#include "lib/base/err.h"

struct active_check_stats;
struct probe;

enum probe_result {
	PROBE_WAITS,     /* TCP: not enough has come */
	PROBE_PASSED,
	PROBE_DEGRADED,  /* passed, and says that it is not at its best */
	PROBE_FAILED,    /* a bad answer */
	PROBE_RETRIABLE, /* a bad answer that counts towards the threshold only */
	PROBE_LOST,      /* the network */
	PROBE_LOCAL,     /* we could not ask: says nothing of the host */
};

struct probe_verdict {
	enum probe_result result;
	bool leave_alone; /* with x-envoy-immediate-health-check-fail */
};

/* What one checker's probes have in common; owned by the checker. */
struct probe_settings {
	const struct probe_kind *kind;
	struct loop *loop;
	struct str cluster;      /* its name */
	uint64_t timeout_ms;
	bool reuse_connection;
	const bool *scarce;      /* descriptors are: none is kept; borrowed */
	struct codec_config codec;
	struct active_check_stats *stats;
	enum wire_kind wire;
	void *own;               /* the kind's, in the arena */
};

/* A kind of check. */
struct probe_kind {
	const char *name; /* in the event log */
	/* Reads the kind's part of the message into s->own and s->wire; what it keeps is in the arena. */
	int (*configure)(struct probe_settings *s, const Envoy__Config__Core__V3__HealthCheck *m,
	    struct arena *a, struct err *err);
	/* What configure() made outside of the arena; may be NULL. */
	void (*fini)(struct probe_settings *s);
	/* The wire is open and ready. */
	void (*ask)(struct probe *p);
	/* Of HTTP. */
	struct probe_verdict (*judge)(struct probe *p, const struct wire_answer *a);
	/* Of bytes; takes out what it does not need any more. */
	enum probe_result (*match)(struct probe *p, struct buf *bytes);
};

#define KIND(case_, object) extern const struct probe_kind object;
#include "admin/health/health.def"
#undef KIND

/* Of the message's health_checker; NULL: none of ours. */
const struct probe_kind *probe_kind_of(const Envoy__Config__Core__V3__HealthCheck *m);

struct probe {
	const struct probe_settings *settings; /* borrowed */
	struct address address;
	struct str authority;                  /* what the host is called; borrowed */
	struct wire *wire;                     /* NULL: none is kept */
	bool asking, asked_again;
	bool *answered;                        /* set when done() is told, after which the probe may be gone */
	/* Told once for each probe_ask(), perhaps before it returns. */
	void (*done)(struct probe *p, struct probe_verdict v);
};

void probe_ask(struct probe *p);
/* Reads what came and was not read; true: done() was told. */
bool probe_look(struct probe *p);
void probe_stop(struct probe *p); /* gives up: done() is not told */

/* For kinds: the question is answered. */
void probe_answer(struct probe *p, struct probe_verdict v);

/* Shared by HTTP and TCP: is each block there, behind the one before it? */
bool probe_holds(const struct str *blocks, size_t n, const struct buf *bytes);

/* Shared by HTTP and gRPC: headers that the configuration adds, with "%%" undone. */
struct probe_header {
	struct str name, value;
	bool replace, if_absent, if_exists;
};
struct probe_headers {
	struct probe_header *at;
	size_t n;
};
void probe_headers_read(struct probe_headers *to,
    Envoy__Config__Core__V3__HeaderValueOption *const *from, size_t n, struct arena *a);
void probe_headers_apply(const struct probe_headers *x, struct headers *h);
/* method, scheme, authority, path, user-agent. */
void probe_headers_begin(
    struct probe *p, struct headers *h, struct str method, struct str authority, struct str path);

#endif
