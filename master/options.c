#include "master/options.h"

#include <stddef.h>
#include <string.h>

#include "lib/base/assert.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/handover.h"
#include "master/usable_cpus.h"


struct setting {
	struct options *o;
	const struct option_row *row;
	void *member;
	const char *value; /* NULL when the option takes none */
	FILE *out;
};

typedef int option_setter(const struct setting *s, struct err *err);

/* ---- setters, in the order of the table */

static int
set_text(const struct setting *s, struct err *err)
{
	*(const char **)s->member = s->value;
	return 0;
}

static int
set_flag(const struct setting *s, struct err *err)
{
	*(bool *)s->member = true;
	return 0;
}

static int
set_u32(const struct setting *s, struct err *err)
{
	uint64_t v;

	if (!str_u64(str_of(s->value), &v) || v > UINT32_MAX)
		return err_set(err, "--%s: '%s' is not a number from 0 to %u", s->row->name, s->value,
		    UINT32_MAX);
	*(uint32_t *)s->member = (uint32_t)v;
	return 0;
}

static int
one_of(const struct setting *s, struct err *err)
{
	return err_set(err, "--%s: '%s' is not one of %s", s->row->name, s->value, s->row->argument);
}

static int
set_mode(const struct setting *s, struct err *err)
{
	if (strcmp(s->value, "serve") == 0)
		s->o->settings.mode = MODE_SERVE;
	else if (strcmp(s->value, "validate") == 0)
		s->o->settings.mode = MODE_VALIDATE;
	else if (strcmp(s->value, "init_only") == 0)
		s->o->settings.mode = MODE_INIT_ONLY;
	else
		return one_of(s, err);
	return 0;
}

static int
set_print(const struct setting *s, struct err *err)
{
	s->o->settings.mode = MODE_PRINT;
	return 0;
}

static int
set_epoch(const struct setting *s, struct err *err)
{
	uint64_t v;

	if (strcmp(s->value, "auto") == 0) {
		s->o->epoch_auto = true;
		return 0;
	}
	if (!str_u64(str_of(s->value), &v) || v > UINT32_MAX)
		return err_set(err, "--restart-epoch: '%s' is neither a number nor auto", s->value);
	s->o->settings.restart_epoch = (uint32_t)v;
	return 0;
}

static int
set_strategy(const struct setting *s, struct err *err)
{
	if (strcmp(s->value, "immediate") == 0)
		s->o->settings.drain_immediate = true;
	else if (strcmp(s->value, "gradual") == 0)
		s->o->settings.drain_immediate = false;
	else
		return one_of(s, err);
	return 0;
}

static int
set_level(const struct setting *s, struct err *err)
{
	enum log_level l;

	if (!log_level_parse(str_of(s->value), &l))
		return err_set(err, "--log-level: '%s' is not a level; %s", s->value, s->row->help);
	log_set_all(l);
	return 0;
}

static int
set_component_levels(const struct setting *s, struct err *err)
{
	struct str rest = str_of(s->value), pair, name;
	enum log_component c;
	enum log_level l;

	while (str_cut(&rest, ',', &pair)) {
		if (!str_cut(&pair, ':', &name) || !log_level_parse(pair, &l))
			return err_set(err, "--component-log-level: '%s' is not NAME:LEVEL,...",
			    s->value);
		if (!log_component_parse(name, &c))
			return err_set(err, "--component-log-level: there is no logger '" STR_FMT "'",
			    STR_ARG(name));
		log_set(c, l);
	}
	return 0;
}

static int
set_drain_deadline(const struct setting *s, struct err *err)
{
	uint32_t *deadlines = s->member, seconds;
	enum drain_kind kind;

	if (drain_deadline_parse(str_of(s->value), &kind, &seconds, err) < 0)
		return err_in(err, "--drain-deadline");
	if (deadlines[kind] != DRAIN_NO_DEADLINE)
		return err_set(err, "--drain-deadline: %s is given twice", drain_kind_names[kind]);
	deadlines[kind] = seconds;
	return 0;
}

static int
set_format(const struct setting *s, struct err *err)
{
	char bad;

	if (!log_set_format(s->value, &bad))
		return err_set(err, "--log-format: unknown specifier '%%%c'", bad);
	return set_text(s, err);
}

static int
show_version(const struct setting *s, struct err *err)
{
	fprintf(s->out, "baton version: %s\n", BATON_VERSION);
	s->o->done = true;
	return 0;
}

static int
show_help(const struct setting *s, struct err *err)
{
	options_help(s->out);
	s->o->done = true;
	return 0;
}

static int
no_effect(const struct setting *s, struct err *err)
{
	log_warning(LOG_MAIN, "option: --%s has no effect: %s", s->row->name, s->row->help);
	return 0;
}

static int
refuse(const struct setting *s, struct err *err)
{
	return err_set(err, "--%s is not supported: %s", s->row->name, s->row->help);
}

/* ---- the table */

const struct option_row option_rows[] = {
#define OPTION(kind, name, letter, argument, shown, setter, member, help)                          \
	{OPTION_##kind, name, letter, argument, shown, help},
#include "master/options.def"
#undef OPTION
};

const size_t option_count = ARRAY_LEN(option_rows);

static const struct {
	option_setter *set;
	size_t member;
} setters[] = {
#define OPTION(kind, name, letter, argument, shown, setter, member, help)                          \
	{setter, offsetof(struct options, member)},
#include "master/options.def"
#undef OPTION
};

/* ---- help */

static void
help_section(FILE *out, enum option_kind kind, const char *title)
{
	fprintf(out, "\n%s\n", title);
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *r = &option_rows[i];

		if (r->kind != kind)
			continue;
		fprintf(out, "  ");
		if (r->letter)
			fprintf(out, "-%c, ", r->letter);
		fprintf(out, "--%s%s%s\n        %s", r->name, *r->argument ? " " : "", r->argument,
		    r->help);
		if (*r->shown_default)
			fprintf(out, " (default: %s)", r->shown_default);
		fprintf(out, "\n");
	}
}

void
options_help(FILE *out)
{
	fprintf(out, "usage: baton -c PATH [option...]\n\n"
		     "An HTTP proxy that takes Envoy's v3 configuration.\n");
	help_section(out, OPTION_ENVOY, "Options as Envoy has them:");
	help_section(out, OPTION_OURS, "Options of baton:");
	help_section(out, OPTION_NO_EFFECT, "Accepted without effect:");
}

/* ---- finding a row */

/* Edit distance, given up above 3. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t na = strlen(a), nb = strlen(b);

	if (na >= 64 || nb >= 64)
		return 99;
	for (unsigned j = 0; j <= nb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= na; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= nb; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[nb];
}

static const char *
nearest(const char *name)
{
	const char *best = NULL;
	unsigned least = 4;

	for (size_t i = 0; i < option_count; i++) {
		unsigned d = distance(name, option_rows[i].name);

		if (d >= least || option_rows[i].kind == OPTION_REFUSED)
			continue;
		least = d;
		best = option_rows[i].name;
	}
	return best;
}

static int
unknown(const char *arg, const char *name, struct err *err)
{
	const char *near = nearest(name);

	if (near)
		return err_set(err, "unknown option '%s'; did you mean --%s?", arg, near);
	return err_set(err, "unknown option '%s'; see --help", arg);
}

static int
find_long(struct str name, size_t *out)
{
	for (size_t i = 0; i < option_count; i++) {
		if (str_eqz(name, option_rows[i].name)) {
			*out = i;
			return 0;
		}
	}
	return -1;
}

static int
find_letter(char letter, size_t *out)
{
	for (size_t i = 0; i < option_count; i++) {
		if (option_rows[i].letter == letter) {
			*out = i;
			return 0;
		}
	}
	return -1;
}

/* ---- parsing */

struct command_line {
	char **argv;
	int argc, at;
	struct str name;   /* of the option at hand */
	const char *value; /* the part behind '=' or the letter; NULL: none */
	size_t row;
};

/* "--name", "--name=value", "-c", "-cvalue" */
static int
read_name(struct command_line *c, struct err *err)
{
	const char *arg = c->argv[c->at], *equals = strchr(arg, '=');

	c->value = NULL;
	if (arg[0] != '-' || arg[1] == '\0')
		return err_set(err, "'%s' is not an option; see --help", arg);
	if (arg[1] != '-') {
		if (find_letter(arg[1], &c->row) < 0)
			return unknown(arg, arg + 1, err);
		c->value = arg[2] ? arg + 2 : NULL;
		return 0;
	}
	c->name = equals ? str_make(arg + 2, (size_t)(equals - arg - 2)) : str_of(arg + 2);
	c->value = equals ? equals + 1 : NULL;
	return find_long(c->name, &c->row) < 0 ? unknown(arg, arg + 2, err) : 0;
}

static int
read_value(struct command_line *c, struct err *err)
{
	const struct option_row *r = &option_rows[c->row];

	if (*r->argument == '\0')
		return c->value ? err_set(err, "--%s takes no value", r->name) : 0;
	if (c->value)
		return 0;
	if (r->kind == OPTION_REFUSED) /* its name is enough to refuse it */
		return 0;
	if (++c->at == c->argc)
		return err_set(err, "--%s needs a value: %s", r->name, r->argument);
	c->value = c->argv[c->at];
	return 0;
}

static void
set_defaults(struct options *o)
{
	*o = (struct options){.settings = {.mode = MODE_SERVE,
				  .drain_time_s = 600,
				  .parent_shutdown_time_s = 900,
				  .file_flush_interval_ms = 1000,
				  .watchdog_s = 10,
				  .shutdown_deadline_s = 25,
				  .init_timeout_s = 60,
				  .max_draining = UINT32_MAX,
				  .hot_restart_version = HANDOVER_VERSION}};
	o->settings.concurrency = usable_cpus();
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		o->settings.drain_deadline_s[k] = DRAIN_NO_DEADLINE;
}

static void
fill_in_deadlines(struct settings *s)
{
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		if (s->drain_deadline_s[k] == DRAIN_NO_DEADLINE)
			s->drain_deadline_s[k] = s->parent_shutdown_time_s;
}

static int
check_together(struct options *o, struct err *err)
{
	if (o->settings.concurrency == 0)
		o->settings.concurrency = 1;
	fill_in_deadlines(&o->settings);
	if (o->settings.concurrency > 1024)
		return err_set(err, "--concurrency: more than 1024 workers");
	if (o->settings.config_path == NULL && o->settings.config_yaml == NULL)
		return err_set(err, "no configuration: give --config-path or --config-yaml");
	if (o->dynamic_base_id && o->settings.restart_epoch > 0)
		return err_set(err, "--use-dynamic-base-id is for epoch 0 only");
	return 0;
}

int
options_parse(struct options *o, int argc, char **argv, FILE *out, struct err *err)
{
	struct command_line c = {.argv = argv, .argc = argc};
	const char **given = mem_array(const char *, 2 * (size_t)argc + 1);
	bool *seen = mem_array(bool, option_count);
	size_t n = 0;
	int bad = 0;

	set_defaults(o);
	o->settings.given = given;
	for (c.at = 1; c.at < argc && !bad && !o->done; c.at++) {
		struct setting s = {.o = o, .out = out};

		if (read_name(&c, err) < 0 || read_value(&c, err) < 0) {
			bad = -1;
			break;
		}
		s.row = &option_rows[c.row];
		s.value = c.value;
		s.member = (char *)o + setters[c.row].member;
		if (seen[c.row] && setters[c.row].set != set_drain_deadline)
			bad = err_set(err, "--%s is given twice", s.row->name);
		else
			bad = setters[c.row].set(&s, err);
		seen[c.row] = true;
		given[n++] = s.row->name;
		given[n++] = c.value ? c.value : "true";
	}
	mem_free(seen);
	if (bad || o->done)
		return bad;
	if (o->settings.hot_restart_disabled)
		o->settings.hot_restart_version = "disabled"; /* as Envoy says then */
	if (o->show_hot_restart_version) {
		fprintf(out, "%s\n", o->settings.hot_restart_version);
		o->done = true;
		return 0;
	}
	return check_together(o, err);
}

void
options_fini(struct options *o)
{
	mem_free((void *)(uintptr_t)o->settings.given);
	o->settings.given = NULL;
}
