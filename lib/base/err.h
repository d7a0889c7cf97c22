/*
 * A reason, grown from the inside out: the deepest function says what is
 * wrong with err_set(), its callers put where in front with err_in().
 * Both return -1, so that `return err_in(err, "cluster '%s'", name);`
 * reads well.  A NULL err is allowed and ignored.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

struct err {
	char text[512]; /* cut when longer; always ends in NUL */
};

int err_set(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_sys(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* adds strerror(errno) */
int err_in(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* "…: " in front */

#endif
