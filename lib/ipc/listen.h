/*
 * What admin asks of master when it wants a listening socket: the flags
 * of LISTEN.
 *
 * The address of LISTEN, LISTENED, UNLISTEN, LISTEN_FD and LISTEN_BACK is
 * the key of one row in master/sockets.c and is echoed as it was asked:
 * "127.0.0.1:8000", "[::1]:8000", "/run/x.sock", "@abstract".  Several
 * sockets with port 0 are told apart by a suffix, the listener's name:
 * "127.0.0.1:0#ingress".  Admin and workers make it with listen_key().
 */
#ifndef IPC_LISTEN_H
#define IPC_LISTEN_H

#include "lib/base/str.h"

enum listen_flag {
	LISTEN_REUSE_PORT = 1,  /* one socket per worker; else one that all share */
	LISTEN_IPV4_COMPAT = 2, /* "::" takes IPv4 too */
	LISTEN_ADMIN = 4,       /* the admin port: one socket, sent to admin as LISTEN_ADMIN_FD */
	LISTEN_HANDED = 8,      /* nobody asks for it: this socket is a service manager's too */
};

/* address: the text form of the configured address; listener: its name in the journal. */
static inline void
listen_key(struct strb *out, struct str address, struct str listener)
{
	strb_adds(out, address);
	if (str_ends(address, STR(":0"))) {
		strb_addc(out, '#');
		strb_adds(out, listener);
	}
}

#define LISTEN_BACKLOG_DEFAULT 0 /* u backlog 0: the system's (net.core.somaxconn) */
#define LISTEN_MODE_DEFAULT 0    /* u mode 0: a Unix path keeps the umask's mode */

#endif
