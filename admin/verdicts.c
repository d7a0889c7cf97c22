#include "admin/verdicts.h"

#include <fcntl.h>
#include <unistd.h>

#include "admin/admin.h"
#include "lib/base/log.h"
#include "shm/hosts.h"
#include "shm/image.h"
#include "shm/paths.h"

/* Those of EDS come with the configuration. */
#define INHERITED                                                                                  \
	(HOST_FAILED_ACTIVE_HC | HOST_FAILED_OUTLIER | HOST_DEGRADED_ACTIVE_HC |                   \
	    HOST_EXCLUDED_IMMEDIATE_HC_FAIL | HOST_ACTIVE_HC_TIMEOUT | HOST_OPERATOR_DRAIN |       \
	    HOST_OPERATOR_FAIL | HOST_CLUSTER_USED | HOST_CHECKED)

static int
open_segment(const struct admin *a)
{
	struct strb path = {0}, generation = {0};
	int fd;

	path_base(&path, a->settings->runtime_dir, a->settings->base_id);
	path_generation(&generation, a->start->elder_generation);
	strb_printf(&path, "/%s/" PATH_SEGMENT, strb_z(&generation));
	fd = open(strb_z(&path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	strb_fini(&generation);
	strb_fini(&path);
	return fd;
}

static bool
take_verdict(struct members *m, const struct image *img, const struct image_block *b)
{
	size_t n = b->scope.shared_bytes;
	struct host_cell *cell;

	if (!b->live || b->shared == NULL || n < sizeof(cell->flags) ||
	    strcmp(image_string(img, b->scope.name), "host") != 0)
		return false;
	cell = arena_new(&m->arena, struct host_cell);
	memcpy(cell, b->shared, n < sizeof(*cell) ? n : sizeof(*cell)); /* an older one has less */
	cell->flags &= INHERITED;
	map_put(&m->inherited, arena_str(&m->arena, b->prefix), cell);
	return cell->flags != 0;
}

void
verdicts_inherit(struct admin *a)
{
	int fd = open_segment(a);
	struct image *img;
	struct image_block b;
	struct err err = {""};
	uint64_t at = 0;
	unsigned n = 0;

	if (fd < 0 || image_open(&img, fd, &err) < 0) {
		log_warning(LOG_MAIN, "verdicts on hosts of generation %llu: %s",
		    (unsigned long long)a->start->elder_generation,
		    fd < 0 ? "no segment" : err.text);
		if (fd >= 0)
			close(fd);
		return;
	}
	while (image_next(img, &at, &b, &err) > 0)
		n += take_verdict(&a->members, img, &b);
	if (n)
		log_info(LOG_MAIN, "hosts: %u verdicts are taken over from the last generation", n);
	image_free(&img);
	close(fd);
}
