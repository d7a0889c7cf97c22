/*
 * Log files: admin opens them, workers get descriptors.  A file is opened
 * to append; reopening gives workers a new descriptor for the same path,
 * and when that fails the old one stays (filesystem.reopen_failed).
 */
#ifndef ADMIN_CONFIG_FILES_H
#define ADMIN_CONFIG_FILES_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"

struct admin;
struct store;

struct log_file {
	char *path;
	int fd; /* owned; -1 while a reload only notes that it is kept */
};

struct files {
	VEC(struct log_file) logs; /* access logs, each path once */
	VEC(struct log_file) admin_logs; /* of the admin port, written here */
	char *app_path;            /* --log-path; NULL: stderr */
	int app_fd;                /* owned; -1: stderr */
};

void files_init(struct files *f);
void files_fini(struct files *f);

/* --log-path: opens it and makes it this process's log. */
int files_open_app_log(struct files *f, const char *path, struct err *err);
/* Every file access log of the listeners, and those of the admin port. */
int files_open_logs(struct files *f, const struct store *s, struct err *err);
/* The same for a reload, into `next`, without those that `now` has. */
int files_prepare(
    struct files *next, const struct files *now, const struct store *s, struct err *err);
void files_send_new(struct admin *a, const struct files *next); /* to the workers */
/* Takes over: next's are the admin's, what nobody names any more is closed. */
void files_commit(struct admin *a, struct files *next);
/* Descriptors to one worker, or to all (SEAT_ALL). */
void files_send(struct admin *a, unsigned seat);
void files_send_app_log(struct admin *a); /* to master */
void files_reopen(struct admin *a);

/* "/dev/stdout" and "/dev/stderr" are the process's own: they may be pipes that open() refuses. */
int log_file_open(const char *path, struct err *err);

#endif
