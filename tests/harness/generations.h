/*
 * Several generations in one scene.  Successors are nobody's children: a
 * program that starts them calls generations_adopt() first, so that they
 * are its own, to be waited for.
 */
#ifndef HARNESS_GENERATIONS_H
#define HARNESS_GENERATIONS_H

#include "tests/harness/configs.h"
#include "tests/harness/scene.h"

void generations_adopt(void);
/* The master that serves now, as its pid file says; 0: none. */
pid_t generation_serving(struct scene *sc);
/* batonctl hot-restart; gives its status.  The scene's proxy is who serves then. */
int generation_restart(struct scene *sc);
bool generation_is_gone(pid_t master);

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The scene fails unless the tool (at most four words) ends with this status and says this. */
void expect_tool(struct scene *sc, int status, const char *has, const char *program,
    const char *const *words);
bool ctl_says(struct scene *sc, const char *text, const char *const *words);

/* The n-th of the pids that baton started for hot restarts, as the log says; waits for it. */
pid_t generation_started(struct scene *sc, unsigned n);
unsigned log_count(struct scene *sc, const char *text);

/* ---- clients that stay */
int hold_h1(struct scene *sc, const char *path); /* a GET that is not answered for long */
int hold_h2(struct scene *sc);			 /* the same over HTTP/2 */
int hold_websocket(struct scene *sc); /* upgrade_configs must allow it; the host is an origin */
void assert_echo(int websocket);
#define CONF_UPGRADES                                                                              \
	CONF_ADMIN CONF_LISTENER_WITH(                                                             \
	    "", "          upgrade_configs: [{upgrade_type: websocket}]\n", "", CONF_ROUTE_ALL)    \
	CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")
/* An origin, one worker, CONF_UPGRADES and these options. */
void hold_serve(struct scene *sc, const char *const *options);

/* A process of its own that runs batonctl; ctl_end() gives its status and what it said. */
struct ctl_run {
	pid_t pid;
	char path[96];
};
void ctl_begin(struct scene *sc, struct ctl_run *run, const char *command);
int ctl_end(struct ctl_run *run, char **out); /* out may be NULL; caller frees */

#endif
