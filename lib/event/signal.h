/*
 * Signals read from a signalfd in the loop, so that an action runs as
 * ordinary code and knows who sent it.  libevent's own signals tell no
 * sender.  One set of rows per process.
 */
#ifndef EVENT_SIGNAL_H
#define EVENT_SIGNAL_H

#include <stddef.h>
#include <sys/signalfd.h>

struct loop;
struct signals;

struct signal_row {
	int signo;
	void (*fn)(void *arg, const struct signalfd_siginfo *info);
};

/* Blocks the rows' signals and reads them from now on.  rows are borrowed.  NULL with errno set
 * when no descriptor is to be had. */
struct signals *signals_open(
    struct loop *l, const struct signal_row *rows, size_t n, void *arg);
void signals_close(struct signals **sp); /* the signals stay blocked */
/* A child's first act: ignore `ignored`, everything else by default, nothing blocked. */
void signals_reset(const int *ignored, size_t n);

#endif
