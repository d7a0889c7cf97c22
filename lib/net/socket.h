/*
 * Making sockets: always non-blocking and close-on-exec, options set in
 * the order that Linux needs.  Functions give a descriptor the caller
 * owns, or -1 with the reason (which does not repeat the address).
 */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/address.h"

struct socket_options {
	bool reuse_port;  /* the others of one address; the first is bound without it */
	bool ipv4_compat; /* "::" takes IPv4 too */
	int backlog;      /* 0: as large as the system allows */
	uint32_t mode;    /* Unix path: chmod to this; 0 leaves it */
};

/* Bound, not yet listening.  A Unix path that exists is taken over only when it is a socket that
 * refuses connections. */
int socket_bind(const struct address *a, const struct socket_options *o, struct err *err);
/* Sets SO_REUSEPORT now, so that sockets bound later may join this one. */
int socket_allow_joining(int fd, struct err *err);
int socket_listen(int fd, const struct socket_options *o, struct err *err);

/*
 * Connecting: gives the descriptor; *pending says whether the connection
 * is still under way (ask socket_error when it becomes writable).  `from`
 * (NULL: any) is bound first, port 0 allowed.
 */
int socket_connect(
    const struct address *to, const struct address *from, bool *pending, struct err *err);
int socket_error(int fd); /* takes the pending error: 0 or an errno */

/* Options of a connection; failures are harmless and ignored. */
void socket_nodelay(int fd);
struct socket_keepalive {
	uint32_t probes, time_s, interval_s; /* 0: the system's */
};
void socket_keepalive(int fd, const struct socket_keepalive *k);

#endif
