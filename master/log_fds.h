/*
 * Descriptors of access logs that passed through master on their way from
 * admin to the workers: a worker that starts while admin is away gets
 * them from here.
 */
#ifndef MASTER_LOG_FDS_H
#define MASTER_LOG_FDS_H

#include "lib/base/str.h"

struct child;
struct log_fds;

struct log_fds *log_fds_new(void);
void log_fds_free(struct log_fds **lp);
/* Keeps a copy of fd; one of the same path is replaced. */
void log_fds_note(struct log_fds *l, struct str path, int fd);
void log_fds_forget(struct log_fds *l, struct str path);
void log_fds_give(const struct log_fds *l, struct child *worker);

#endif
