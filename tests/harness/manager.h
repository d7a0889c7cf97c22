/*
 * A service manager as far as its notify socket goes: hears datagrams
 * with the kernel's word on who sent them, believes the main process
 * only (as NotifyAccess=main does) and follows MAINPID.
 */
#ifndef HARNESS_MANAGER_H
#define HARNESS_MANAGER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/str.h"

struct manager {
	int fd;
	pid_t main_pid;	  /* 0: whoever speaks first */
	bool believe_all; /* NotifyAccess=all */
	bool is_ready, is_reloading, is_stopping;
	unsigned readies, reloads, pings, extensions, not_believed;
	uint64_t monotonic_us; /* of the last RELOADING */
	pid_t pinged_by;
	char status[512];
};

/* name: NOTIFY_SOCKET's form; it is put into the environment. */
void manager_open(struct manager *m, const char *name);
void manager_close(struct manager *m);
/* Reads what has come; gives true, to stand in conditions. */
bool manager_hear(struct manager *m);

#endif
