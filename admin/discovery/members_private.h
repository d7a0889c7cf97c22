/*
 * Inside of the members: the model (members.c), the clusters that a
 * configuration brings and takes (members_reload.c), the journal
 * (members_journal.c).
 */
#ifndef ADMIN_DISCOVERY_MEMBERS_PRIVATE_H
#define ADMIN_DISCOVERY_MEMBERS_PRIVATE_H

#include "admin/discovery/members.h"
#include "lib/base/task.h"

/* All of them are told before anything else happens. */
#define TELL(m, event, ...)                                                                        \
	do {                                                                                       \
		task_hold();                                                                       \
		for (size_t i_ = 0; i_ < (m)->observers.len; i_++)                                 \
			if ((m)->observers.at[i_].events->event)                                   \
				(m)->observers.at[i_].events->event(                               \
				    (m)->observers.at[i_].arg, __VA_ARGS__);                       \
		task_release();                                                                    \
	} while (0)

#define TELL_BACKWARDS(m, event, ...)                                                              \
	do {                                                                                       \
		task_hold();                                                                       \
		for (size_t i_ = (m)->observers.len; i_-- > 0;)                                    \
			if ((m)->observers.at[i_].events->event)                                   \
				(m)->observers.at[i_].events->event(                               \
				    (m)->observers.at[i_].arg, __VA_ARGS__);                       \
		task_release();                                                                    \
	} while (0)

struct member *member_add(struct members *m, struct member_cluster *c, const struct endpoint *e,
    struct str address, uint32_t number);
void member_update(struct members *m, struct member *x, const struct endpoint *e);
void member_remove(struct members *m, struct member *x);
void members_initialised(struct members *m, struct member_cluster *c);
uint32_t member_number(struct member_book *b); /* one that is free */
void members_said(struct member_cluster *c);   /* the journal says what the model says */
/* The comparison; true when workers must hear of it.  numbers: of new members, where they are fixed
 * already, or NULL. */
bool members_take(struct members *m, struct member_cluster *c, const struct assignment *a,
    const uint32_t *numbers, bool keep_checked);
int members_make_blocks(
    struct members *m, struct member_cluster *c, const struct assignment *a, struct err *err);
/* A block goes when nobody uses it any more. */
void members_retire_later(struct members *m, struct str prefix, size_t cluster_n);
void members_retire_cluster_later(struct members *m, const struct member_cluster *c);
void members_end_cluster(struct members *m, size_t at);
void members_forget_plans(struct members *m);

struct str members_own(struct str s); /* a copy */
void members_disown(struct str *s);

#endif
