/*
 * Membership in the journal: a record of kind RESOURCE_MEMBERS for each
 * cluster, by the cluster's name.  The first is whole; those after it say
 * what changed (journal_append_more) until admin writes a whole one again.
 *
 * Each member has a number in its cluster, so that a difference says what
 * it means in four bytes and a worker finds the host without a search.  A
 * number stays with its address; after a removal it may be given anew.
 *
 * Each record leads from one serial of the cluster to the next: a reader
 * that is there already skips it.  Bytes (native order, this machine only):
 *
 *   head:     u32 magic · u8 whole · u8[3] 0 · u32 members after it · u32 0 · u64 from · u64 to
 *   entries:  u8 type · u8[3] · u32 bytes of the rest · rest
 *     LOCALITY, HOSTNAME, METADATA   text; the next index (from 1) of its type
 *     PUT       a member that is new or changed (struct of membership.c)
 *     REMOVE    u32 number
 *     POLICY    struct assignment_policy
 *
 * 10,000 endpoints of one zone are 520 KiB so; as a ClusterLoadAssignment
 * they would have to be unpacked in one piece.
 */
#ifndef UPSTREAM_MEMBERSHIP_H
#define UPSTREAM_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/map.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"
#include "lib/upstream/assignment.h"

#define MEMBERSHIP_NUMBERS (1u << 20) /* no cluster has more */

/* ---- writing: admin */

struct membership_writer {
	struct strb bytes;
	uint32_t given[3]; /* indexes, by type of text */
	struct map known;  /* a text object's address → its index */
	VEC(void **) keys; /* of known */
};

void membership_begin(
    struct membership_writer *w, bool whole, uint32_t members, uint64_t from, uint64_t to);
void membership_put(struct membership_writer *w, uint32_t number, const struct endpoint *e);
void membership_remove(struct membership_writer *w, uint32_t number);
void membership_policy(struct membership_writer *w, const struct assignment_policy *p);
void membership_writer_fini(struct membership_writer *w);

/* ---- reading: workers, a new admin; one entry a call */

enum membership_change {
	MEMBERSHIP_PUT,
	MEMBERSHIP_REMOVE,
	MEMBERSHIP_POLICY,
};

struct membership_entry {
	enum membership_change change;
	uint32_t number;
	const struct endpoint *endpoint; /* PUT; the reader's, until the next call */
	struct assignment_policy policy;
};

/* A value: it may be moved. */
struct membership_reader {
	bool whole;
	uint32_t members; /* a hint */
	uint64_t from, to;
	struct str rest;  /* borrowed */
	VEC(struct locality *) localities;
	VEC(struct hostname *) hostnames;
	VEC(struct metadata *) metadata;
	struct endpoint endpoint; /* of the last entry */
};

int membership_open(struct membership_reader *r, struct str bytes, struct err *err);
/* 1: an entry; 0: the end; -1: damaged.  out->endpoint is valid until the next call. */
int membership_next(struct membership_reader *r, struct membership_entry *out, struct err *err);
void membership_reader_fini(struct membership_reader *r);

#endif
