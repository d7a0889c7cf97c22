/*
 * Socket activation: listening sockets that a service manager opened and
 * handed over at the start, descriptors 3 and up (LISTEN_FDS, LISTEN_PID,
 * LISTEN_FDNAMES).
 */
#ifndef MASTER_LISTEN_FDS_H
#define MASTER_LISTEN_FDS_H

#include <stdbool.h>

struct sockets;

/* How many were handed to this very process. */
int listen_fds_given(void);
/* A child that takes this one's place: they are its own now. */
void listen_fds_are_mine(int n);
void listen_fds_close(int n);
/* Master takes them: a socket that listens waits for its address to be asked for, any other is
 * closed with a warning. */
void listen_fds_take(struct sockets *s);

#endif
