/*
 * The configuration of the command line, loaded and talked about: what is
 * wrong goes to stderr as the operator reads it, warnings to the log.
 * Also the two modes that only do this.
 */
#ifndef ADMIN_CONFIG_LOAD_H
#define ADMIN_CONFIG_LOAD_H

#include "lib/base/err.h"

struct conf;
struct settings;

/* 0, or -1 with the first error; all of them were printed. */
int load_and_tell(struct conf **out, const struct settings *settings, struct err *err);

/* --mode validate and --print-config: the exit status. */
int load_validate(const struct settings *settings);
int load_print(const struct settings *settings);

#endif
