/*
 * What points.c and quiet.c share: the point at hand, for what is told of
 * a fault, and the processes that were seen at the last look.
 */
#ifndef SOAK_POINTS_PRIVATE_H
#define SOAK_POINTS_PRIVATE_H

#include "tests/soak/soak.h"

#define BATONS_MAX 64
#define FULL 2 /* workers of a generation */

extern char point_what[320];
#define FAULT(fmt, ...) fault("%s: " fmt, point_what, ##__VA_ARGS__)

extern struct baton_process batons[BATONS_MAX];
extern unsigned batons_n;
void batons_look(void);

void points_check_total(void); /* it never falls, and is never more than was sent */

#endif
