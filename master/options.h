/*
 * The command line: one table (options.def) gives parsing, --help and the
 * manual page.
 */
#ifndef MASTER_OPTIONS_H
#define MASTER_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "lib/base/err.h"
#include "lib/ipc/process.h"

enum option_kind {
	OPTION_ENVOY,
	OPTION_OURS,
	OPTION_NO_EFFECT,
	OPTION_REFUSED,
};

struct option_row {
	enum option_kind kind;
	const char *name;
	char letter; /* 0: none */
	const char *argument, *shown_default, *help;
};

extern const struct option_row option_rows[];
extern const size_t option_count;

struct options {
	struct settings settings; /* what all processes see */
	bool dynamic_base_id, no_parent_is_fine, epoch_auto, show_hot_restart_version;
	const char *base_id_path;
	bool done; /* --help, --version: printed, end with 0 */
	char none; /* target of rows without a member */
};

/* Borrows argv's strings.  Log levels and format are put in force as they are read; notices about
 * options without effect are logged. */
int options_parse(struct options *o, int argc, char **argv, FILE *out, struct err *err);
void options_fini(struct options *o);
void options_help(FILE *out);

#endif
