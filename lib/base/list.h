/*
 * Intrusive doubly linked list.  The head is a node; an unlinked node
 * points to nothing, so list_linked() can be asked at any time.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/assert.h"

struct list {
	struct list *prev, *next;
};

static inline void
list_init(struct list *head)
{
	head->prev = head->next = head;
}

static inline bool
list_linked(const struct list *n)
{
	return n->next != NULL && n->next != n;
}

static inline bool
list_empty(const struct list *head)
{
	return head->next == head || head->next == NULL;
}

static inline void
list_insert(struct list *n, struct list *prev, struct list *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}

static inline void
list_push_front(struct list *head, struct list *n)
{
	list_insert(n, head, head->next);
}

static inline void
list_push_back(struct list *head, struct list *n)
{
	list_insert(n, head->prev, head);
}

/* Unlinks; harmless on a node that is not linked. */
static inline void
list_remove(struct list *n)
{
	if (n->next == NULL)
		return;
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->prev = n->next = NULL;
}

static inline struct list *
list_first(struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

static inline struct list *
list_last(struct list *head)
{
	return list_empty(head) ? NULL : head->prev;
}

static inline struct list *
list_pop_front(struct list *head)
{
	struct list *n = list_first(head);

	if (n)
		list_remove(n);
	return n;
}

#define list_entry(node, type, member) container_of(node, type, member)

/* Iterate; `n` may be unlinked (not its successor) inside the body. */
#define list_for_each(n, head)                                                                     \
	for (struct list *n = (head)->next, *n##_next_ = n ? n->next : NULL;                       \
	     n != NULL && n != (head); n = n##_next_, n##_next_ = n ? n->next : NULL)

#endif
