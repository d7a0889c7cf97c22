/*
 * One downstream connection, for the files of this folder.
 *
 * It owns its socket, its codec and the list of its streams; it is freed
 * by the loop after on_closed.  One timer serves every timeout of the
 * connection and its streams: it is set to the earliest of them and asks
 * everybody when it fires, so that a request only stores times.
 */
#ifndef HCM_HCM_PRIVATE_H
#define HCM_HCM_PRIVATE_H

#include "lib/base/state.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/http/codec.h"
#include "lib/http/h2.h"
#include "lib/net/conn.h"
#include "worker/hcm/config.h"
#include "worker/hcm/hcm.h"

#define NEVER UINT64_MAX

#define HCM_STATES(STATE)                                                                          \
	STATE(HCM_SNIFFING, "waiting for the first bytes",                                         \
	    TO(HCM_SERVING) | TO(HCM_CLOSING) | TO(HCM_CLOSED))                                    \
	STATE(HCM_SERVING, "serving",                                                              \
	    TO(HCM_TOLD) | TO(HCM_LAST) | TO(HCM_CLOSING) | TO(HCM_CLOSED))                        \
	STATE(HCM_TOLD, "told to go", TO(HCM_LAST) | TO(HCM_CLOSING) | TO(HCM_CLOSED))             \
	STATE(HCM_LAST, "finishing the last requests", TO(HCM_CLOSING) | TO(HCM_CLOSED))           \
	STATE(HCM_CLOSING, "flushing", TO(HCM_CLOSED))                                             \
	STATE(HCM_CLOSED, "closed", 0)

enum hcm_state { HCM_STATES(STATE_ENUM) };

/*
 * What a connection has beside while bytes of it are in our hands.  One that
 * rests (plain HTTP/1 between two requests, or before the first byte) needs
 * none of it: a few keep it (hcm->warm), the others give it back.
 */
struct hcm_busy {
	struct conn conn;
	struct flush flush;
	size_t rx_held, tx_held; /* what the gauges were told */
	uint64_t rx_counted;
	bool ping_pending;
	bool reading_paused; /* HTTP/1: input waits in conn.in until the stream goes on */
	bool behind;	     /* HTTP/1: the next request waits in conn.in, reading is paused */
	bool client_done;    /* FIN came */
	bool client_last;    /* HTTP/1: its request without a body says that it is the last */
	bool flushing;	     /* inside hcm_on_turn_end() */
	bool half_close;     /* our side of a tunnel ended: FIN when it is written */
	bool remote_end;     /* it was the client who ended it */
	struct hcm_busy *next_free;
	uint64_t goaway_ns; /* when the final GOAWAY is due; 0 none */
	uint64_t ping_ns;   /* HTTP/2 keepalive: next PING, or the answer's deadline */
	uint64_t pings;	    /* sent */
	uint32_t end_flags;  /* why we close, for the streams that are left */
	struct str end_details;
	char ip_text[16]; /* of an IPv4 client, once asked for */
	uint8_t ip_text_len;
	uint8_t warm; /* its place in hcm->warm, from 1; 0: none */
};

struct hcm_conn {
	struct io io;
	struct hcm_busy *busy; /* NULL while it rests */
	struct codec *codec;   /* NULL while sniffing, and without `busy` */
	struct hcm *hcm;
	const struct hcm_config *config; /* of the codec; borrowed from snapshot */
	struct list streams;
	uint32_t streams_n;
	uint32_t requests; /* begun */
	uint32_t upgrades; /* tunnels open now */
	uint8_t state;	   /* enum hcm_state */
	bool http1;	   /* known to be */
	bool kept;	   /* the next generation did not want it */
	bool large;	   /* conn.large of one that rests */
	struct hcm_place *place;
	struct snapshot *snapshot;
	struct list node; /* hcm->conns */
	struct listener_stats *listener_stats; /* where its gauges stand */
	struct listener_worker_stats *worker_stats;
	uint64_t id;
	uint64_t opened_ns, idle_since_ns;
	uint64_t tell_ns; /* when it is told to go; 0 never */
	struct timer timer;
	uint64_t wake_ns; /* what the timer is set to; UINT64_MAX: not set */
	struct address_packed local, remote; /* each stream has them at their full size */
};

extern const struct conn_events hcm_conn_events;

static inline bool
hcm_is_http2(const struct hcm_conn *c)
{
	return c->codec && c->codec->protocol == HTTP_2;
}

static inline bool
hcm_is_ending(const struct hcm_conn *c)
{
	return c->state == HCM_CLOSING || c->state == HCM_CLOSED;
}

/* Its socket is closed, or given away. */
static inline bool
hcm_is_gone(const struct hcm_conn *c)
{
	return c->state == HCM_CLOSED || (c->busy && c->busy->conn.closed);
}

/* The client said FIN and nothing of it waits: no other request will come. */
static inline bool
hcm_is_last(const struct hcm_conn *c)
{
	return c->busy->client_done && buf_empty(&c->busy->conn.in);
}

/* The HTTP/2 codec knows no clock. */
static inline void
hcm_tell_time(struct hcm_conn *c)
{
	if (hcm_is_http2(c))
		h2_set_now(c->codec, loop_now_ms(c->hcm->loop));
}

/* The earliest thing to look after is at `at_ns`. */
static inline void
hcm_wake_by(struct hcm_conn *c, uint64_t at_ns)
{
	uint64_t now_ns;

	if (at_ns >= c->wake_ns)
		return;
	c->wake_ns = at_ns;
	now_ns = loop_now_ns(c->hcm->loop);
	timer_set(c->hcm->loop, &c->timer, at_ns > now_ns ? (at_ns - now_ns) / 1000000 : 0);
}

/* ---- at rest, and not: hcm_rest.c */
bool hcm_at_rest(const struct hcm_conn *c);
/* No stream is left and its bytes are forgotten: gives back what it does without. */
void hcm_settle(struct hcm_conn *c);
/* It is needed again; harmless when it does not rest. */
void hcm_rouse(struct hcm_conn *c);
/* What the socket of one at rest tells. */
void hcm_on_ready(void *arg, unsigned ready);
/* It ends: another one may be warm. */
void hcm_cool(struct hcm_conn *c);
void hcm_free_busy(struct hcm_conn *c);
/* Output leaves at the end of a turn: hcm_conn.c's. */
void hcm_on_turn_end(void *arg);

/* ---- its life: hcm_conn.c */
struct hcm_conn *hcm_conn_new(struct hcm *m, struct hcm_place *p, uint64_t id,
    const struct address *remote, const struct address *local);
void hcm_conn_start(struct hcm_conn *c, int fd);
/* Of one at rest: its descriptor, which it forgets. */
int hcm_leave_socket(struct hcm_conn *c);
void hcm_enter(struct hcm_conn *c, enum hcm_state next);
/* The timeouts that a configuration brings. */
void hcm_arm(struct hcm_conn *c);
void hcm_count_buffered(struct hcm_conn *c);
void hcm_count_closed(struct hcm_conn *c, bool local);
/* Its socket is gone; the memory goes at the end of the turn. */
void hcm_forget(struct hcm_conn *c);

/* ---- codec and socket: hcm_io.c */
/* What it speaks is known; HTTP/1 gets its codec with the first bytes of a request. */
void hcm_set_protocol(struct hcm_conn *c, bool http2);

/* ---- timeouts: hcm_timers.c */
void hcm_on_timer(void *arg);
uint64_t hcm_ping_wait_ns(const struct hcm_conn *c);

/* ---- being told to go: hcm_told.c */
void hcm_count_drain(struct hcm_conn *c);
void hcm_draw_moment(struct hcm_conn *c);
void hcm_last_goaway(struct hcm_conn *c);

/* ---- another configuration: hcm_adopt.c */
void hcm_conn_adopt(struct hcm_conn *c);

/* ---- from one process to another: hcm_given.c */
/* Between two requests of plain HTTP/1, or before the first byte: nothing of it is in our hands. */
bool hcm_may_be_given(const struct hcm_conn *c);

/* ---- for streams, and for each other */
/* Response headers are about to leave: must this HTTP/1 connection, or HTTP/2 session, go? */
bool hcm_response_says_close(struct hcm_conn *c);
/* A stream of this connection ended. */
void hcm_stream_ended(struct hcm_conn *c, bool close_after);
/* The stream may be fed again, or must not be for now. */
void hcm_stream_paused(struct hcm_conn *c, bool paused);
/* HTTP/1: our half of the tunnel is complete, theirs goes on. */
void hcm_tunnel_ended(struct hcm_conn *c);
/* There is output; it leaves at the end of the turn. */
void hcm_output(struct hcm_conn *c);
/* Bytes of a tunnel came or leave: its stream may not have been told (stream_join()). */
void hcm_touch_tunnel(struct hcm_conn *c);
/* Writes what there is, then FIN; ends what streams are left with these. */
void hcm_close(struct hcm_conn *c, uint32_t flags, struct str details);
/* Its client ended with requests open: they are given up with all that has not left yet. */
void hcm_client_left(struct hcm_conn *c);
/* The socket's end will be a reset: an answer that is cut, and ends with the connection, must not look complete. */
void hcm_end_by_reset(struct hcm_conn *c);
/* Ends at once, nothing is flushed; the logs of its streams say why. */
void hcm_abort(struct hcm_conn *c, struct str details);
/* HTTP/1: close after the response under way.  HTTP/2: GOAWAY, and later the final one. */
void hcm_tell(struct hcm_conn *c);

#endif
