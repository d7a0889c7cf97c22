#include "shm/survivors.h"

#include "lib/base/json_out.h"
#include "shm/lane.h"

static const char *
role_name(const struct seg_seat *seat)
{
	return seat->role == SEAT_ADMIN ? "admin" : "worker";
}

/* The nth living process that is not master; false: there are no more. */
static bool
next_seat(const struct segment *seg, uint32_t *at, const struct seg_seat **out)
{
	while (*at < seg->h->seats) {
		const struct seg_seat *seat = segment_seat(seg, (*at)++);

		if (seat->role != SEAT_MASTER && seat_is_alive(seat)) {
			*out = seat;
			return true;
		}
	}
	return false;
}

static void
as_text(const struct segment *seg, struct strb *out)
{
	const struct seg_seat *seat;

	for (uint32_t at = 0; next_seat(seg, &at, &seat);) {
		if (seat->role == SEAT_ADMIN)
			strb_printf(out, "  admin      pid %d\n", (int)seat->pid);
		else
			strb_printf(out, "  worker %-3u pid %d\n", seat->index, (int)seat->pid);
	}
}

static void
as_json(const struct segment *seg, struct json_out *j)
{
	const struct seg_seat *seat;

	json_keyz(j, "processes");
	json_array(j);
	for (uint32_t at = 0; next_seat(seg, &at, &seat);) {
		json_object(j);
		json_keyz(j, "role");
		json_stringz(j, role_name(seat));
		json_keyz(j, "index");
		json_u64(j, seat->index);
		json_keyz(j, "pid");
		json_i64(j, seat->pid);
		json_end(j);
	}
	json_end(j);
}

void
survivors_describe(uint32_t epoch, bool json, struct strb *out)
{
	const struct segment *seg = segment_own();
	struct json_out j;

	if (!json) {
		strb_printf(out, "generation epoch %u: its master is gone, its orphans serve on\n", epoch);
		if (seg)
			as_text(seg, out);
		return;
	}
	json_out_init(&j, out, false);
	json_object(&j);
	json_keyz(&j, "orphan");
	json_bool(&j, true);
	json_keyz(&j, "epoch");
	json_u64(&j, epoch);
	if (seg)
		as_json(seg, &j);
	json_end(&j);
	strb_addc(out, '\n');
}
