/*
 * batonstat: command line, and the views that are printed once.
 */
#include "tools/batonstat.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/paths.h"
#include "shm/print.h"

enum exit_code {
	EXIT_GOOD = 0,
	EXIT_BAD = 1,
	EXIT_USAGE = 2,
};

static const struct {
	char letter;
	const char *name, *argument, *help;
} options[] = {
#define OPTION(letter, name, argument, help) {letter, name, argument, help},
#include "tools/batonstat_options.def"
#undef OPTION
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

bool
batonstat_match(void *ctx, struct str name)
{
	const struct batonstat *o = ctx;
	bool in = o->include.len == 0;

	for (size_t i = 0; i < o->include.len && !in; i++)
		in = str_glob(name, o->include.at[i]);
	for (size_t i = 0; i < o->exclude.len && in; i++)
		in = !str_glob(name, o->exclude.at[i]);
	return in;
}

struct stat_query
batonstat_query(const struct batonstat *o)
{
	bool all = o->include.len == 0 && o->exclude.len == 0;

	return (struct stat_query){.match = all ? NULL : batonstat_match, .ctx = (void *)o};
}

/* A directory that changes under our hands may look damaged for a moment: look twice. */
int
batonstat_read(
    const struct batonstat *o, struct stat_query q, struct stat_set **set, struct err *err)
{
	if (stat_read(set, o->base, &q, err) == 0)
		return 0;
	return stat_read(set, o->base, &q, err);
}

static void
usage(FILE *to)
{
	fputs("usage: batonstat [OPTION]…\n"
	      "Shows the numbers of a baton from shared memory; the proxy need not run.\n"
	      "On a terminal a live view; otherwise every stat once.\n\n",
	    to);
	for (size_t i = 0; i < OPTIONS; i++) {
		char left[40];

		snprintf(left, sizeof(left), "-%c, --%s%s%s", options[i].letter, options[i].name,
		    options[i].argument ? " " : "", options[i].argument ? options[i].argument : "");
		fprintf(to, "  %-24s %s\n", left, options[i].help);
	}
}

/* ---- command line */

struct command {
	struct batonstat o;
	const char *runtime_dir;
	uint64_t base_id;
	bool help, version;
};

static void
add_filter(struct batonstat *o, const char *glob)
{
	if (glob[0] == '!')
		*vec_push(&o->exclude) = glob + 1;
	else
		*vec_push(&o->include) = glob;
}

static int
apply(struct command *c, int letter, const char *argument)
{
	switch (letter) {
	case '1':
		c->o.once = true;
		break;
	case 'j':
		c->o.once = c->o.json = true;
		break;
	case 'p':
		c->o.once = c->o.prometheus = true;
		break;
	case 'f':
		add_filter(&c->o, argument);
		break;
	case 'u':
		c->o.used = true;
		break;
	case 'w':
		c->o.view = VIEW_WORKERS;
		break;
	case 'g':
		c->o.view = VIEW_GENERATIONS;
		break;
	case 'H':
		c->o.view = VIEW_HOSTS;
		break;
	case 'F':
		c->o.view = VIEW_FAILURES;
		break;
	case 'b':
		if (str_u64(str_of(argument), &c->base_id))
			break;
		fprintf(stderr, "batonstat: --base-id: '%s' is not a number\n", argument);
		return -1;
	case 'r':
		c->runtime_dir = argument;
		break;
	case 'V':
		c->version = true;
		break;
	case 'h':
		c->help = true;
		break;
	default:
		return -1;
	}
	return 0;
}

static int
parse(struct command *c, int argc, char **argv)
{
	struct option longs[OPTIONS + 1] = {{0}};
	char shorts[2 * OPTIONS + 1] = "";
	size_t n = 0;
	int letter;

	for (size_t i = 0; i < OPTIONS; i++) {
		longs[i] = (struct option){options[i].name,
		    options[i].argument ? required_argument : no_argument, NULL, options[i].letter};
		shorts[n++] = options[i].letter;
		if (options[i].argument)
			shorts[n++] = ':';
	}
	while ((letter = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
		if (apply(c, letter, optarg) < 0)
			return -1;
	if (optind < argc) {
		fprintf(stderr, "batonstat: unexpected argument '%s'\n", argv[optind]);
		return -1;
	}
	if (c->o.json && c->o.prometheus) {
		fprintf(stderr, "batonstat: --json and --prometheus exclude each other\n");
		return -1;
	}
	if (c->o.prometheus && c->o.view != VIEW_STATS) {
		fprintf(stderr, "batonstat: --prometheus shows stats only\n");
		return -1;
	}
	return 0;
}

/* ---- once */

#define PIECE_BYTES (64u << 10)

static int
write_out(struct strb *out, struct err *err)
{
	size_t done = 0;

	while (done < out->n) {
		ssize_t n = write(STDOUT_FILENO, out->p + done, out->n - done);

		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot write");
		done += n > 0 ? (size_t)n : 0;
	}
	strb_reset(out);
	return 0;
}

/* Piece by piece; the last one stays. */
static int
print_set(const struct batonstat *o, const struct stat_set *set, struct strb *out, struct err *err)
{
	struct stat_print_options opt = {.used_only = o->used, .pretty = isatty(STDOUT_FILENO)};
	enum stat_format format = o->json	  ? STAT_FORMAT_JSON
				  : o->prometheus ? STAT_FORMAT_PROMETHEUS
						  : STAT_FORMAT_TEXT;
	struct stat_printer *p = stat_printer_new(format, set, &opt);
	int rc = 0;

	strb_reserve(out, 2 * PIECE_BYTES);
	while (rc == 0 && stat_printer_step(p, out, 512))
		if (out->n >= PIECE_BYTES)
			rc = write_out(out, err);
	stat_printer_free(&p);
	return rc;
}

static int
print_stats(const struct batonstat *o, struct strb *out, struct err *err)
{
	struct stat_set *set;
	int rc;

	if (batonstat_read(o, batonstat_query(o), &set, err) < 0)
		return -1;
	rc = print_set(o, set, out, err);
	if (o->json)
		strb_addc(out, '\n');
	stat_set_free(&set);
	return rc;
}

static int
print_view(const struct batonstat *o, struct strb *out, struct err *err)
{
	switch (o->view) {
	case VIEW_STATS:
		return print_stats(o, out, err);
	case VIEW_WORKERS:
		return batonstat_workers(o, out, err);
	case VIEW_GENERATIONS:
		return batonstat_generations(o, out, err);
	case VIEW_HOSTS:
		return batonstat_hosts(o, out, err);
	case VIEW_FAILURES:
		return batonstat_failures(o, out, err);
	}
	return -1;
}

static int
print_once(const struct batonstat *o)
{
	struct strb out = {0};
	struct err err;
	int code = EXIT_GOOD;

	if (print_view(o, &out, &err) < 0 || write_out(&out, &err) < 0) {
		fprintf(stderr, "batonstat: %s\n", err.text);
		code = EXIT_BAD;
	}
	strb_fini(&out);
	return code;
}

static int
run(struct command *c)
{
	struct strb base = {0};
	int code;

	path_base(&base, c->runtime_dir, c->base_id);
	c->o.base = strb_give(&base);
	if (c->o.once || c->o.view != VIEW_STATS || !isatty(STDOUT_FILENO))
		code = print_once(&c->o);
	else
		code = batonstat_live(&c->o);
	MEM_CLEAR(c->o.base);
	return code;
}

#define SMALL_PAGE 4096u
#define LARGE_PAGE (2ul << 20)
#define HEAP_BYTES (16 * LARGE_PAGE) /* taken at a time; what is not touched costs nothing */

/*
 * One look at 16,000 numbers is 600 pages: half of its time, taken one by
 * one.  So the heap, of which there is nothing yet, begins where a large
 * page does; only malloc's own head, which it writes at once, is before.
 */
static void
prepare_heap(void)
{
	uintptr_t end = (uintptr_t)sbrk(0);
	uintptr_t from = (end + SMALL_PAGE + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);

	if (sbrk((intptr_t)(from - SMALL_PAGE - end)) != (void *)end)
		return;
	mallopt(M_MMAP_THRESHOLD, INT_MAX);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_TOP_PAD, HEAP_BYTES);
	mem_free(mem_resize(NULL, 1));
	madvise((void *)from, (uintptr_t)sbrk(0) - from, MADV_HUGEPAGE);
}

int
main(int argc, char **argv)
{
	struct command c = {0};
	int code = EXIT_GOOD;

	prepare_heap();
	if (parse(&c, argc, argv) < 0) {
		usage(stderr);
		code = EXIT_USAGE;
	} else if (c.help) {
		usage(stdout);
	} else if (c.version) {
		puts("batonstat " BATON_VERSION);
	} else {
		code = run(&c);
	}
	vec_fini(&c.o.include);
	vec_fini(&c.o.exclude);
	return code;
}
