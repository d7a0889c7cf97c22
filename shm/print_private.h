/*
 * What the printers share; only inside shm/.
 */
#ifndef SHM_PRINT_PRIVATE_H
#define SHM_PRINT_PRIVATE_H

#include "lib/base/json_out.h"
#include "shm/print.h"

struct prometheus;

struct stat_printer {
	enum stat_format format;
	const struct stat_set *set;
	struct stat_print_options opt;
	size_t at; /* next row */
	/* JSON */
	struct json_out json;
	bool opened, histograms;
	/* Prometheus */
	struct prometheus *prom; /* owned */
};

struct bounds {
	const double *at;
	size_t n;
};

struct bounds print_bounds(const struct stat_print_options *opt, struct str name);
bool print_wanted(const struct stat_printer *p, const struct stat_row *row);
/* The shortest that reads back; "nan". */
void print_double(struct strb *out, double v);

void print_text_row(const struct stat_printer *p, struct strb *out, const struct stat_row *row);
void print_json_open(struct stat_printer *p, struct strb *out);
void print_json_row(struct stat_printer *p, const struct stat_row *row);
void print_json_close(struct stat_printer *p);
bool prometheus_step(struct stat_printer *p, struct strb *out, size_t rows);
void prometheus_free(struct prometheus **prom);

#endif
