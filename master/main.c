/*
 * The program baton: a start's table of contents.  Master comes to life
 * here and forks the rest; this is the one place where master and the two
 * processes it starts are named together.
 */
#include <stdio.h>

#include "lib/base/rand.h"
#include "lib/ipc/process.h"
#include "master/init.h"
#include "master/launch.h"
#include "master/master.h"
#include "master/options.h"
#include "master/restarter.h"

/* admin/process.c and worker/process.c */
extern const struct process admin_process, worker_process;

int
main(int argc, char **argv)
{
	struct options options;
	struct err err;
	int status = 0;

	launch_init(argc, argv);
	process_title_init(argc, argv);
	rand_init();
	if (options_parse(&options, argc, argv, stdout, &err) < 0) {
		fprintf(stderr, "baton: %s\n", err.text);
		status = 1;
	} else if (!options.done) {
		fflush(stdout);
		restarter_follow(&options);
		if (!init_is_wanted(&options) || !init_run(&options, &status))
			status = master_run(&options, &admin_process, &worker_process);
	}
	options_fini(&options);
	return status;
}
