/*
 * The service manager's notify protocol: lines of KEY=VALUE, one datagram
 * to the socket that NOTIFY_SOCKET names (a path, or @ and an abstract
 * name).  Nothing waits for it and nothing fails by it.
 */
#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/base/str.h"

struct notify {
	int fd; /* -1: nobody wants to hear */
	struct sockaddr_un to;
	socklen_t to_len;
	uint64_t watchdog_us; /* how often it wants WATCHDOG=1 at least; 0: never */
	bool failed;	      /* the last one did not go out, and that was logged */
};

/* As the environment says. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);
/* The lines of one datagram; false: it did not go out. */
bool notify_send(struct notify *n, struct str lines);
/* A value: one line whatever the text is. */
void notify_add_text(struct strb *lines, const char *key, struct str text);

/* What was meant for master alone goes from the environment. */
void notify_not_for_children(void);
/* In a process that takes another's place: what names a pid names this one now. */
void notify_is_for_me(void);
/* The same for the next generation, which gets its sockets from the last one. */
void notify_for_successor(void);

#endif
