/*
 * Dead generations whose numbers master wants added to the totals: one
 * after the other, in slices between two turns of admin's loop.
 */
#ifndef ADMIN_FOLDS_H
#define ADMIN_FOLDS_H

#include <stdint.h>

struct folds;
struct loop;
struct settings;

struct folds *folds_new(struct loop *l, const struct settings *s); /* borrowed */
void folds_free(struct folds **fp);				    /* what is half done is nothing */
void folds_ask(struct folds *f, uint64_t generation); /* again and again does no harm */

#endif
