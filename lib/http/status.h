/* Status codes and what they are called. */
#ifndef HTTP_STATUS_H
#define HTTP_STATUS_H

#include <stdbool.h>

#include "lib/base/str.h"

/* Static text; "Unknown" for codes that nobody registered. */
struct str status_reason(unsigned code);

/* 1xx, 204 and 304 never carry a body, whatever their headers say. */
static inline bool
status_is_bodiless(unsigned code)
{
	return code < 200 || code == 204 || code == 304;
}

#endif
