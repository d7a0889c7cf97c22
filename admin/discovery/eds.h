/*
 * Clusters of type EDS: each subscribes to its ClusterLoadAssignment and
 * gives what comes to the model of members.  What is not mentioned in a
 * response stays; endpoint_stale_after empties a cluster that was not
 * updated in time.
 */
#ifndef ADMIN_DISCOVERY_EDS_H
#define ADMIN_DISCOVERY_EDS_H

struct admin;
struct eds;

struct eds *eds_new(struct admin *a); /* observes a->members */
void eds_free(struct eds **ep);       /* after members_fini() */

#endif
