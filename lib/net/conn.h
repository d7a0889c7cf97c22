/*
 * A stream of bytes over a socket: buffers, watermarks, back-pressure,
 * half-close.  Embedded in its owner (an HCM connection, an upstream
 * connection), who decides what the bytes mean, and who has the io apart:
 * a socket at rest can do with that alone (conn_leave(), conn_join()).
 *
 * Reading: bytes are put in `in` and on_data is called; the owner takes
 * what it can.  A budget of CONN_BUDGET bytes a turn keeps one connection
 * from starving others.  An idle connection holds no buffer.
 * What nobody looks at (`unseen`) may stay in the kernel, in a pipe.
 * Writing: conn_write() takes bytes; they leave in one writev at the end
 * of the turn.  Above `high` bytes waiting on_high is told once, below
 * half of it on_low.
 * Closing: conn_close() at once, or after what waits is written
 * (CLOSE_FLUSH: then FIN, then the peer's FIN is awaited for at most
 * linger_ms, input is thrown away).  on_closed is told exactly once, from
 * the loop, never from inside a conn_* call; after it the owner may free
 * the memory; after conn_abort() it does so from loop_defer().
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/net/transport.h"

#define CONN_BUDGET (64 * 1024)

struct sockaddr;

enum conn_end {
	CONN_REMOTE_CLOSE,    /* FIN from the other side and ours done */
	CONN_REMOTE_RESET,    /* ECONNRESET and kin */
	CONN_LOCAL_CLOSE,     /* we closed */
	CONN_CONNECT_FAILED,  /* refused, unreachable */
	CONN_CONNECT_TIMEOUT,
	CONN_LINGER_TIMEOUT,  /* flushed close, but the other side did not end in time */
};

struct conn_events {
	void (*on_connected)(void *arg); /* client side */
	void (*on_data)(void *arg);      /* c->in has bytes */
	void (*on_eof)(void *arg);       /* FIN came and c->in holds all that was sent */
	void (*on_hangup)(void *arg);    /* FIN came while reading is paused, told once; may be NULL */
	void (*on_high)(void *arg);
	void (*on_low)(void *arg);
	void (*on_written)(void *arg, size_t n); /* bytes left for the kernel; may be NULL */
	void (*on_closed)(void *arg, enum conn_end why, int error);
};

/* What each message needs stands together, in front. */
struct conn {
	struct io *io; /* the owner's */
	int fd;
	uint32_t high;
	const struct transport *transport;
	const struct conn_events *events;
	void *arg;
	uint8_t paused;   /* how many reasons not to read */
	bool readable, writable, connecting, above_high;
	bool eof;         /* FIN was seen, perhaps with bytes before it */
	bool eof_told, hangup_told, shut;
	bool closing;     /* CLOSE_FLUSH or CLOSE_LAST under way: input is thrown away */
	bool last;        /* CLOSE_LAST: nobody waits for the peer's FIN */
	bool closed;      /* on_closed was told or is on its way */
	bool big;         /* the last read filled its buffer: read more at once */
	bool read_since;  /* something came since a look was ordered */
	bool large;       /* the last body came in a pipe: of the next message a head's worth is read first.
			     The owner's to keep for a socket at rest */
	uint64_t unseen;  /* the owner's: so many of the next bytes nobody looks at */
	struct chunk *rd; /* being filled; NULL while idle */
	struct buf in, out;
	struct flush flush;
	uint64_t bytes_in, bytes_out;
	struct flush look;     /* one more read: conn_expect() */
	struct timer timer;    /* connect timeout, then linger */
	uint32_t linger_ms;
	enum conn_end why;
	int error;
	void *transport_data;
};

/* Takes a connected, non-blocking fd. */
void conn_open(struct conn *c, struct io *io, struct loop *l, int fd, const struct transport *t,
    uint32_t high, const struct conn_events *events, void *arg);
/* Starts a connect on fd (takes it).  on_connected or on_closed follows, from the loop. */
void conn_connect(struct conn *c, struct io *io, struct loop *l, int fd, const struct sockaddr *to,
    unsigned to_len, uint32_t timeout_ms, const struct transport *t, uint32_t high,
    const struct conn_events *events, void *arg);

/* ---- at rest: a connected socket, of which nothing is in our hands, needs no conn */
bool conn_at_rest(const struct conn *c);
/* From now on what the socket tells goes to fn; the conn is dead, no event follows. */
void conn_leave(struct conn *c, void (*fn)(void *arg, unsigned ready), void *arg);
/* The other way: an edge-triggered io that is added already. */
void conn_join(struct conn *c, struct io *io, const struct transport *t, uint32_t high,
    const struct conn_events *events, void *arg);
/* What the io told while there was no conn. */
void conn_told(struct conn *c, unsigned ready);
/* Tries to read at once, without waiting for an event (right after accept). */
void conn_kick(struct conn *c);

void conn_write(struct conn *c, struct buf *data); /* takes everything out of data */
/* Where bytes may be put without conn_write(); NULL: none leave any more.  conn_push() follows. */
static inline struct buf *
conn_out(struct conn *c)
{
	return c->closed || c->shut ? NULL : &c->out;
}
void conn_push(struct conn *c);                    /* writes now instead of at the end of the turn */
void conn_shutdown_write(struct conn *c);          /* FIN after what waits */
void conn_pause(struct conn *c);                   /* counted */
void conn_resume(struct conn *c);
/* Asks for on_data again although nothing new came (the codec left bytes); at most once a turn. */
void conn_again(struct conn *c);
/*
 * From inside on_data: the message is not complete.  A reset that came with
 * the last bytes raises no event of its own (the library reports an error as
 * readable), and a short read passes it over: another read, which finds
 * nothing as a rule, looks for it within two LOOP_LATER_MS.
 */
void conn_expect(struct conn *c);
/* Gives the read buffer back when nobody refers to its bytes: owners call it when they are idle. */
void conn_settle(struct conn *c);

enum conn_close_how {
	CLOSE_NOW,   /* drops what waits; the peer may see a reset */
	CLOSE_FLUSH, /* writes it, FIN, lingers */
	CLOSE_LAST,  /* writes it and closes: the other side said that it sends nothing more */
};
void conn_close(struct conn *c, enum conn_close_how how, uint32_t linger_ms);
/* Closes the socket and forgets everything; no event follows.  For owners that go away. */
void conn_abort(struct conn *c);
/* Takes the descriptor out (hand-over); the conn is dead, no event follows; in and out must be empty. */
int conn_release(struct conn *c);

#endif
