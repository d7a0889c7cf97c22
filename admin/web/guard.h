/*
 * Whom the admin port answers.  A web page that a browser on this machine
 * shows must not reach it: neither by a name of its own that it points at
 * our address (DNS rebinding: Host) nor by a form sent across (Origin).
 */
#ifndef WEB_GUARD_H
#define WEB_GUARD_H

#include <stdbool.h>

#include "lib/base/str.h"

struct headers;

/*
 * An IP, a name without a dot, one under a domain that nobody can
 * register (localhost, local, internal, svc, lan, test, home.arpa), this
 * machine's name.  An empty authority (HTTP/1.0) is no browser's.
 */
bool guard_host_is_ours(struct str authority, struct str machine);
/* No Origin at all, or the very authority that is asked. */
bool guard_origin_matches(struct str origin, struct str authority);

/* NULL, or why the request is refused with 403. */
const char *guard_refuses(const struct headers *h, bool over_unix_socket);

#endif
