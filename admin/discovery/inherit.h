/*
 * What the last generation knew of members that are discovered.  A hot
 * restart begins with them, so it waits for no control plane and no name.
 */
#ifndef ADMIN_DISCOVERY_INHERIT_H
#define ADMIN_DISCOVERY_INHERIT_H

#include "lib/base/err.h"

struct admin;

/* After members_prepare(), from the journal that was handed over.  -1: there is none, or it cannot be
 * read; nothing is lost by that but time. */
int inherit_members(struct admin *a, struct err *err);

#endif
