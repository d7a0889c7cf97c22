/*
 * Growing array of any type:
 *   VEC(int) v = {0};  *vec_push(&v) = 3;  v.at[0];  v.len;  vec_fini(&v);
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include <stddef.h>
#include <string.h>

#include "lib/base/mem.h"

#define VEC(type)                                                                                  \
	struct {                                                                                   \
		type *at;                                                                          \
		size_t len, cap;                                                                   \
	}

#define vec_reserve(v, n)                                                                          \
	do {                                                                                       \
		if ((n) > (v)->cap) {                                                              \
			size_t vec_cap_ = (v)->cap ? (v)->cap : 8;                                 \
			while (vec_cap_ < (size_t)(n))                                             \
				vec_cap_ *= 2;                                                     \
			(v)->at = mem_resize((v)->at, vec_cap_ * sizeof(*(v)->at));                \
			(v)->cap = vec_cap_;                                                       \
		}                                                                                  \
	} while (0)

/* Appends one zeroed element and gives its address. */
#define vec_push(v)                                                                                \
	({                                                                                         \
		vec_reserve((v), (v)->len + 1);                                                    \
		memset(&(v)->at[(v)->len], 0, sizeof(*(v)->at));                                   \
		&(v)->at[(v)->len++];                                                              \
	})

#define vec_remove(v, i)                                                                           \
	do {                                                                                       \
		memmove(&(v)->at[(i)], &(v)->at[(i) + 1],                                          \
		    ((v)->len - (i)-1) * sizeof(*(v)->at));                                        \
		(v)->len--;                                                                        \
	} while (0)

#define vec_fini(v)                                                                                \
	do {                                                                                       \
		mem_free((v)->at);                                                                 \
		(v)->at = NULL;                                                                    \
		(v)->len = (v)->cap = 0;                                                           \
	} while (0)

#endif
