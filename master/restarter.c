#include "master/restarter.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "lib/base/str.h"
#include "master/options.h"

#define EPOCH_VARIABLE "RESTART_EPOCH"

void
restarter_follow(const struct options *o)
{
	const char *said = getenv(EPOCH_VARIABLE);
	uint64_t epoch;

	if (said == NULL || o->epoch_auto || o->settings.hot_restart_disabled ||
	    o->settings.mode != MODE_SERVE)
		return;
	if (str_u64(str_of(said), &epoch) && epoch == o->settings.restart_epoch)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
}

void
restarter_forget(void)
{
	unsetenv(EPOCH_VARIABLE);
}
