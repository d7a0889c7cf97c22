/*
 * Who of this process's generation lives: what an orphan answers to `ps`.
 */
#ifndef SHM_SURVIVORS_H
#define SHM_SURVIVORS_H

#include <stdbool.h>

#include "lib/base/str.h"

/* Adds a line for each, or one object as JSON. */
void survivors_describe(uint32_t epoch, bool json, struct strb *out);

#endif
