/*
 * Who is healthy: active checks of every cluster that has them.  Follows
 * the members (discovery/members.h): a cluster with health_checks gets a
 * checker, each of its members a check; verdicts go to the members' cells,
 * where workers see them at their next request.
 *
 * A cluster that comes is held until each of its members has been checked
 * once.  Members whose verdict is known (from the last generation, or from
 * the admin before this one) are not waited for.
 */
#ifndef ADMIN_HEALTH_HEALTH_H
#define ADMIN_HEALTH_HEALTH_H

struct admin;
struct err;
struct health;
struct store;

struct health *health_new(struct admin *a); /* before the members have a cluster */
void health_free(struct health **hp);       /* after the members are gone */
/* Blocks are published: numbers that are not of one cluster are found. */
void health_attach(struct health *h);
void health_on_wait(struct health *h); /* at the end of each turn of the loop */
/* Before a configuration is accepted: its event logs can be opened. */
int health_try_logs(struct health *h, const struct store *s, struct err *err);
void health_reopen_logs(struct health *h);

#endif
