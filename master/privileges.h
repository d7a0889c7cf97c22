/*
 * Who may do what.  Started as root, master keeps only the capabilities
 * that its work needs, admin only the right to read files, workers none
 * and another user.  Started as anybody else, nobody has any and nothing
 * changes but no_new_privs.
 *
 * Capability sets (root only; what the container took away stays away):
 *
 *   master  effective  NET_BIND_SERVICE NET_ADMIN KILL SETUID SETGID
 *           permitted  the same and DAC_READ_SEARCH, which only admin uses
 *   admin   DAC_READ_SEARCH, uid unchanged
 *   worker  none, uid and gid of --user
 */
#ifndef MASTER_PRIVILEGES_H
#define MASTER_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/ipc/process.h"

struct identity {
	bool change; /* false: stay who we are */
	uid_t uid;
	gid_t gid;
};

/* Who the workers will be.  option: NAME[:GROUP] by name or number, or NULL for user baton if it
 * exists, else 60999. */
int identity_find(struct identity *out, const char *option, bool root, struct err *err);

/* For master after start-up needs are met, or for a child right after fork. */
int privileges_drop(enum role role, const struct identity *worker, struct err *err);

#endif
