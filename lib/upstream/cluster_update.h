/*
 * New members for a cluster that is in use.  The hosts are made beside
 * what runs, some at a time (cluster_update_step), and put in force as
 * one (cluster_update_use): hosts of the same address stay the same
 * object with their connections, what discovery says of them changes,
 * those that are gone get nothing new and go with their last connection.
 *
 * Runs in workers.  The update borrows the cluster and the record.
 */
#ifndef UPSTREAM_CLUSTER_UPDATE_H
#define UPSTREAM_CLUSTER_UPDATE_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct cluster;
struct cluster_update;

struct cluster_update *cluster_update_new(struct cluster *c);
/* Frees; what was not put in force is forgotten. */
void cluster_update_free(struct cluster_update **up);

/* The next record (lib/upstream/membership.h), when the last one is done.  One that leads to where the
 * update is already has nothing to do.  -1: damaged, or one is missing before it. */
int cluster_update_record(struct cluster_update *u, struct str bytes, struct err *err);
/* 1: more, 0: the record is done, -1: damaged. */
int cluster_update_step(struct cluster_update *u, struct err *err);

void cluster_update_use(struct cluster_update *u);

#endif
