/*
 * The bytes of a segment (docs/shm.md draws them).  One generation, one
 * file, final size at creation, sparse; nothing grows and nothing moves.
 *
 *   header | seats | flags | failures | schema | directory | shared | lane 0 | lane 1 | …
 *
 * Who writes: header's first part, schema: master at creation.  Seats:
 * their owner and master.  Directory and the ends in the header: admin.
 * Flags, failures, shared: several, by atomics.  A lane: its owner only.
 * All numbers are of this machine; offsets of areas count from the start
 * of the file.  A reader trusts none of them.
 */
#ifndef SHM_LAYOUT_H
#define SHM_LAYOUT_H

#include <stdint.h>

#define SEG_MAGIC 0x314745534e544142ull /* "BATNSEG1" */
#define SEG_FORMAT 1u
#define SEG_PAGE 4096u

struct seg_header {
	uint64_t magic;
	uint32_t format;
	uint32_t header_bytes;
	uint64_t id;            /* random; what `totals` lists once the segment is folded */
	uint64_t generation;
	uint64_t total_bytes;
	uint64_t created_wall_ns;
	uint64_t pid_namespace; /* inode of the creator's; pids mean something only there */
	uint64_t schema_hash;
	char version[32];       /* of the binary, NUL at the end */

	uint64_t seats_off;
	uint32_t seats, seat_bytes;
	uint64_t flags_off;
	uint32_t flags_bytes, spare;
	uint64_t failures_off;
	uint32_t failure_slots, failure_bytes;
	uint64_t schema_off, schema_bytes;
	uint32_t scopes, scope_bytes;
	uint32_t rows, row_bytes;
	uint64_t dir_off, dir_bytes;
	uint64_t shared_off, shared_bytes;
	uint64_t lanes_off, lane_bytes; /* extensions begin at half of lane_bytes */

	/* these change; admin writes them, failures_next has many writers */
	uint64_t dir_end;       /* bytes of directory in use: stored with release after the record */
	uint64_t dir_version;   /* one more with each change of the directory */
	uint64_t dir_reused;    /* one more when a record got a new name */
	uint64_t retired;       /* number of the last retirement */
	uint64_t lane_end;      /* bytes of each lane's first half in use */
	uint64_t shared_end;    /* bytes of the shared area in use */
	uint64_t failures_next; /* failures noted so far */
};

enum seat_state {
	SEAT_FREE,   /* nobody ever */
	SEAT_TAKING, /* its memory is being committed */
	SEAT_TAKEN,
	SEAT_LEFT,   /* owner gone: counters count, gauges do not */
};

struct seg_seat {
	uint32_t state; /* enum seat_state, atomic */
	uint32_t role;  /* enum seat_role */
	int32_t pid;
	uint32_t index;      /* worker number */
	uint64_t start_time; /* field 22 of /proc/<pid>/stat */
	uint64_t taken_wall_ns;
	uint32_t owners; /* how many so far */
	uint32_t spare[7];
};

/* First bytes of a lane; blocks begin at SEG_PAGE. */
struct seg_lane {
	uint64_t beat;          /* one more each turn of the owner's loop */
	uint64_t let_go;        /* retirements up to this one are held no more */
	uint64_t ext_next;      /* first free byte of the second half, from the lane's start */
	uint64_t ext_committed; /* memory is there up to this byte */
	uint64_t dropped;       /* values that found no room */
};

struct seg_scope {
	uint32_t name;         /* in the strings behind the rows, NUL at the end */
	uint32_t first, rows;
	uint32_t lane_bytes;   /* of one block */
	uint32_t shared_bytes; /* of its shared part */
	uint32_t flags;        /* SCOPE_HIDDEN */
};

#define SCOPE_HIDDEN 1u /* not in /stats */

enum stat_kind {
	STAT_COUNTER,
	STAT_GAUGE,
	STAT_HISTOGRAM,
	STAT_CODES,
	STAT_TEXT,
	STAT_KINDS,
};

enum stat_unit {
	UNIT_NONE,
	UNIT_BYTES,
	UNIT_MS,
	UNIT_US,
	UNIT_S,
	UNIT_PERCENT,
	STAT_UNITS,
};

#define ROW_LAZY 1u /* shown once written */
#define ROW_OWN 2u  /* gauge: of the serving generation only */
#define ROW_ANY 4u  /* gauge: the largest instead of the sum */

struct seg_row {
	uint32_t name, help; /* strings */
	uint16_t kind, unit;
	uint32_t flags;
	uint32_t off; /* in the block; of a text: in the shared part */
};

enum record_state {
	RECORD_NONE,
	RECORD_LIVE,
	RECORD_RETIRED,
	RECORD_CHANGING, /* gets a new name just now */
};

/* A block.  Behind it: hidden_bytes of bitmap (row i: byte i / 8, bit i % 8), then the prefix. */
struct seg_record {
	uint32_t bytes; /* to the next record */
	uint32_t state; /* low two bits enum record_state; the rest counts changes */
	uint16_t scope, name_bytes, name_room, hidden_bytes;
	uint32_t lane_off, lane_bytes;     /* in every lane */
	uint32_t shared_off, shared_bytes; /* in the shared area */
	uint64_t retired;                  /* number of its retirement */
};

#define RECORD_STATE(word) ((enum record_state)((word)&3u))

/*
 * Extension of a histogram.  Values below ten stand here; chunk[d] is the
 * place (in 8 bytes, from the lane's start) of 90 counts for the values
 * of d+1 digits, by their first two digits; 0 = none yet.
 */
#define HIST_DIGITS 20
#define HIST_CHUNK 90

struct seg_histogram {
	uint64_t sum;
	uint64_t small[10];
	uint32_t chunk[HIST_DIGITS]; /* [0] unused */
};

#define CODES_CENTURY 100 /* an extension of codes: counts of x00 … x99 */

struct seg_failure {
	uint64_t seq; /* 2n+1 while failure n is written, 2n+2 after; 0 = never */
	uint64_t wall_ns;
	uint32_t kind; /* enum failure_kind */
	uint32_t status;
	char flags[24];
	char route[72];
	char cluster[72];
	char host[72];
	char details[248];
};

/* docs/shm.md and readers of other versions know these. */
_Static_assert(sizeof(struct seg_header) == 280 && sizeof(struct seg_seat) == 64, "layout");
_Static_assert(sizeof(struct seg_scope) == 24 && sizeof(struct seg_row) == 20, "layout");
_Static_assert(sizeof(struct seg_record) == 40 && sizeof(struct seg_lane) == 40, "layout");
_Static_assert(sizeof(struct seg_histogram) == 168 && sizeof(struct seg_failure) == 512, "layout");

#endif
