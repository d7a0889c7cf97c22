/*
 * A segment as a reader holds it: copied by pread into private memory and
 * checked, so that a truncated, hostile or foreign file is an error and
 * nothing more.  No process needs to be alive.
 */
#ifndef SHM_IMAGE_H
#define SHM_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "shm/flags.h"
#include "shm/layout.h"

struct image {
	int fd; /* borrowed */
	struct seg_header h;
	struct shm_flags flags;
	bool same_pids; /* its pids are of our namespace */
	char *seats, *schema, *dir, *shared;
	struct str strings; /* of the schema; a NUL behind them */
};

struct image_lane {
	char *cells;    /* lane_end bytes, from the lane's start */
	char *ext;      /* from half of the lane's bytes */
	uint64_t ext_bytes;
};

/* A record of the directory with its ranges checked. */
struct image_block {
	struct seg_scope scope;
	uint16_t scope_id;
	bool live;
	struct str prefix;
	const uint8_t *hidden; /* bitmap, hidden_bytes long */
	uint32_t hidden_bytes;
	const char *shared;    /* its shared part */
	uint32_t lane_off;
};

int image_open(struct image **out, int fd, struct err *err);
void image_free(struct image **img);
struct seg_seat image_seat(const struct image *img, uint32_t seat);
/* Somebody has it and lives, as far as this machine can tell. */
bool image_seat_alive(const struct image *img, const struct seg_seat *seat);
/* The lane in private memory; free with image_lane_fini(). */
int image_lane(const struct image *img, uint32_t seat, struct image_lane *lane, struct err *err);
void image_lane_fini(struct image_lane *lane);
uint64_t image_beat(const struct image *img, uint32_t seat);
/* 1 and the block at *off (which moves on), 0 at the end, -1 when the directory is damaged. */
int image_next(const struct image *img, uint64_t *off, struct image_block *block, struct err *err);
struct seg_scope image_scope(const struct image *img, uint32_t i); /* below h.scopes */
/* Row i of the scope, checked when the image was opened. */
struct seg_row image_row(const struct image *img, const struct seg_scope *scope, uint32_t i);
const char *image_string(const struct image *img, uint32_t off);
/* Extension of n bytes at this place (8 bytes units), NULL when it is not one. */
const char *image_extension(const struct image *img, const struct image_lane *lane, uint64_t place,
    uint32_t n);
/* Slot i of the ring; -1 when nothing stands there, or it is just being written. */
int image_failure(const struct image *img, uint32_t i, struct seg_failure *out);

#endif
