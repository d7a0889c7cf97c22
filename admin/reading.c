#include "admin/reading.h"

#include "admin/admin.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "shm/paths.h"
#include "shm/segment.h"

void
reading_start(struct reading *r, const struct admin *a, const struct stat_query *q)
{
	struct strb base = {0};

	*r = (struct reading){.a = a, .query = *q};
	path_base(&base, a->settings->runtime_dir, a->settings->base_id);
	r->reader = stat_reader_new(strb_z(&base), &r->query);
	strb_fini(&base);
}

/* The directory tells nothing: our own segment does. */
static void
read_own(struct reading *r)
{
	struct err err = {""};

	stat_reader_free(&r->reader);
	r->done = true;
	if (r->a->segment == NULL || stat_read_fd(&r->set, r->a->segment->fd, &r->query, &err) < 0)
		log_error(LOG_STATS, "stats: not read: %s", err.text);
}

bool
reading_step(struct reading *r)
{
	uint64_t end = clock_mono_ns() + SLICE_NS;
	struct err err;
	int more = 1;

	if (r->done)
		return false;
	while (more > 0 && clock_mono_ns() < end)
		more = stat_reader_step(r->reader, &err);
	if (more > 0)
		return true;
	if (more < 0) {
		read_own(r);
		return false;
	}
	r->set = stat_reader_take(r->reader);
	r->done = true;
	return false;
}

void
reading_fini(struct reading *r)
{
	stat_reader_free(&r->reader);
	stat_set_free(&r->set);
}
