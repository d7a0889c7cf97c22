/*
 * The contract between a connection and what carries its bytes: plain TCP
 * (plain.c) or, later, TLS.  Functions behave like their system calls:
 * -1 with errno EAGAIN when they would block.
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

struct conn;

struct transport {
	const char *name;
	ssize_t (*read)(struct conn *c, void *p, size_t n);
	ssize_t (*write)(struct conn *c, const void *p, size_t n);
	ssize_t (*writev)(struct conn *c, const struct iovec *iov, int n);
	/* The same from and to a pipe, in the kernel.  NULL where that cannot be. */
	ssize_t (*read_pipe)(struct conn *c, int to, size_t n);
	ssize_t (*write_pipe)(struct conn *c, int from, size_t n);
	/* Ends our half: FIN, or close_notify and FIN. */
	void (*shutdown)(struct conn *c);
	bool says_goodbye; /* shutdown says more than close() does */
	/* True while bytes that the kernel no longer holds can still be read. */
	bool (*pending)(struct conn *c);
	void (*free)(struct conn *c);
};

extern const struct transport plain_transport;

#endif
