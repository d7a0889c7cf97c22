/*
 * Tells when a file is moved onto its path, or, with a directory, when
 * anything is moved into that.  Nothing else counts, as with Envoy: who
 * writes in place would be read half.
 */
#ifndef XDS_WATCH_H
#define XDS_WATCH_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/event/loop.h"

struct watch {
	struct io io;
	int fd;     /* inotify; -1: none */
	char *name; /* last part of the path; NULL: any */
	void (*on_move)(void *arg);
	void *arg;
};

/* directory: NULL for that of the path.  -1 when it cannot be watched. */
int watch_open(struct watch *w, struct loop *l, const char *path, const char *directory,
    void (*on_move)(void *arg), void *arg, struct err *err);
void watch_close(struct watch *w); /* harmless when it is not open */

#endif
