/*
 * Where things lie: name rules only, nothing is opened here.
 *
 *   <runtime dir>/<base id>/totals
 *   <runtime dir>/<base id>/g<generation>/segment
 *   <runtime dir>/<base id>/{start.lock,control.sock,pid}  and  g<generation>/alive
 */
#ifndef SHM_PATHS_H
#define SHM_PATHS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

#define PATH_TOTALS "totals"
#define PATH_SEGMENT "segment"
#define PATH_LOCK "start.lock"
#define PATH_CONTROL "control.sock"
#define PATH_PID "pid"
#define PATH_ALIVE "alive"

/* `option` is --runtime-dir or NULL: else /run/baton for root, $XDG_RUNTIME_DIR/baton, /tmp/baton-<uid>. */
void path_runtime_dir(struct strb *out, const char *option);
void path_base(struct strb *out, const char *option, uint64_t base_id);
/* /dev/shm/baton-<uid>: where segments lie when the runtime directory is not tmpfs. */
void path_shm_dir(struct strb *out);
void path_generation(struct strb *out, uint64_t generation); /* "g7" */
bool path_parse_generation(const char *name, uint64_t *generation);

#endif
