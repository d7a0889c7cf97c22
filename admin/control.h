/*
 * What operators do: verdicts on hosts, log levels.  The same functions
 * stand behind the admin port and batonctl (CONTROL from master).
 */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

struct admin;

/* `drain`, `fail` or `ok`. */
int control_host(
    struct admin *a, struct str cluster, struct str address, struct str verdict, struct err *err);

/* In every process; later ones are forked from master and have its levels.  component LOG_COMPONENTS: all of them. */
void control_set_level(struct admin *a, unsigned component, enum log_level level);
/* "active loggers:\n  admin: info\n…" */
void control_loggers(struct strb *out);

void control_health(struct admin *a, bool failed);

/* One command line of batonctl: the exit status, its answer in *out. */
unsigned control_run(struct admin *a, struct str line, bool json, struct strb *out);

#endif
