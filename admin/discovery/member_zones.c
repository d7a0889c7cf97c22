#include "admin/discovery/member_zones.h"

#include "lib/upstream/assignment.h"
#include "lib/upstream/blocks.h"
#include "shm/block.h"

static int
publish(struct segment *seg, struct str cluster, struct str own, struct str zone, struct err *err)
{
	struct strb prefix = {0};
	int bad;

	zone_block_prefix(&prefix, cluster, own, zone);
	bad = block_publish(seg, SCOPE_cluster_codes, strb_str(&prefix), err);
	strb_fini(&prefix);
	return bad;
}

static bool
knows(const struct member_zones *z, struct str zone)
{
	for (size_t i = z->names.len; i-- > 0;)
		if (str_eq(z->names.at[i], zone))
			return true;
	return false;
}

int
member_zones_add(struct member_zones *z, struct segment *seg, struct str cluster, struct str own,
    const struct assignment *a, struct err *err)
{
	const struct locality *last = NULL;

	for (size_t i = 0; own.n && i < a->list.len; i++) {
		const struct locality *l = a->list.at[i].locality;

		if (l == NULL || l == last || l->zone.n == 0)
			continue;
		last = l;
		if (knows(z, l->zone))
			continue;
		if (publish(seg, cluster, own, l->zone, err) < 0)
			return -1;
		*vec_push(&z->names) = str_make(mem_strndup(l->zone.p, l->zone.n), l->zone.n);
	}
	return 0;
}

int
member_zones_publish(const struct member_zones *z, struct segment *seg, struct str cluster,
    struct str own, struct err *err)
{
	for (size_t i = 0; i < z->names.len; i++)
		if (publish(seg, cluster, own, z->names.at[i], err) < 0)
			return -1;
	return 0;
}

void
member_zones_retire(
    const struct member_zones *z, struct segment *seg, struct str cluster, struct str own)
{
	struct strb prefix = {0};

	for (size_t i = 0; i < z->names.len; i++) {
		strb_reset(&prefix);
		zone_block_prefix(&prefix, cluster, own, z->names.at[i]);
		block_retire(seg, SCOPE_cluster_codes, strb_str(&prefix));
	}
	strb_fini(&prefix);
}

void
member_zones_copy(struct member_zones *to, const struct member_zones *from)
{
	for (size_t i = 0; i < from->names.len; i++) {
		struct str s = from->names.at[i];

		*vec_push(&to->names) = str_make(mem_strndup(s.p, s.n), s.n);
	}
}

void
member_zones_fini(struct member_zones *z)
{
	for (size_t i = 0; i < z->names.len; i++)
		mem_free((void *)(uintptr_t)z->names.at[i].p);
	vec_fini(&z->names);
}
