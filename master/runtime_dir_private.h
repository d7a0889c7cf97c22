/*
 * What the files of the runtime directory share: runtime_dir.c (opening
 * and closing it), runtime_others.c (who else lives there),
 * runtime_generation.c (g<n>) and runtime_control.c (control socket, pid).
 */
#ifndef MASTER_RUNTIME_DIR_PRIVATE_H
#define MASTER_RUNTIME_DIR_PRIVATE_H

#include <sys/types.h>

#include "master/runtime_dir.h"

#define HINT "choose another with --runtime-dir"

/* Ours alone, or an error that names it.  `at` may be AT_FDCWD. */
int runtime_own_dir(int at, const char *name, const char *shown, struct err *err);

/* Locks of files: -1 when somebody has it. */
int runtime_lock(int fd);
pid_t runtime_lock_holder(int fd); /* 0: nobody */
int runtime_lock_open(int dir, const char *name, int flags);

/* Calls fn for each g<n>. */
int runtime_each_generation(struct runtime_dir *r,
    void (*fn)(struct runtime_dir *, const char *, void *), void *arg, struct err *err);
/* The master that serves, 0: none; gives who else is there. */
int32_t runtime_find_master(struct runtime_dir *r, struct runtime_others *others);
unsigned runtime_count_orphans(const struct runtime_others *others);
void runtime_note_orphans(struct runtime_dir *r, const struct runtime_others *others);
/* Numbers of those of whom nobody lives go to the totals, and they are removed. */
void runtime_fold_dead(struct runtime_dir *r, const struct runtime_others *others);

void runtime_generation_remove(struct runtime_dir *r, const char *name);
/* control.sock and pid, unless they are the successor's by now. */
void runtime_names_remove(struct runtime_dir *r);

#endif
