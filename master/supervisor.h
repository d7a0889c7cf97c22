/*
 * What master tells who supervises it (systemd, or our own init) and
 * when.  Only the generation that serves speaks: what a draining one or a
 * start that fails would say is not the service's.  Who hands over names
 * its successor (MAINPID), because a service manager may listen to the
 * main process only; the successor says the same of itself.
 */
#ifndef MASTER_SUPERVISOR_H
#define MASTER_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "master/notify.h"

struct master;

struct supervisor {
	struct notify notify;
	uint64_t pinged_ns;
	bool reloading;
	bool unsaid;	     /* the state at hand did not go out */
	struct strb refused; /* why the last reload was; empty: it was not */
};

void supervisor_open(struct master *m);
void supervisor_close(struct master *m);
void supervisor_entered(struct master *m); /* a new state of master */
void supervisor_tick(struct master *m);	   /* after each look at the children */
void supervisor_second(struct master *m);

/* What admin says of a reload. */
void supervisor_reload_begun(struct master *m);
void supervisor_reload_ended(struct master *m, bool ok, struct str why);

#endif
