/*
 * mandoc: the man pages of the three programs, from the tables that the
 * programs themselves read; part of `make docs`.
 *
 *   mandoc baton|batonctl|batonstat
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/assert.h"

enum option_kind {
	ENVOY,
	OURS,
	NO_EFFECT,
	REFUSED,
};

struct option_row {
	enum option_kind kind;
	const char *name;
	int letter;
	const char *argument, *unless_given, *help;
};

static const struct option_row baton_options[] = {
#define OPTION(kind, name, letter, argument, unless_given, setter, member, help)                   \
	{kind, name, letter, argument, unless_given, help},
#include "master/options.def"
#undef OPTION
};

static const struct {
	const char *name, *text;
} baton_signals[] = {
#define SIGNAL(signo, action, from, text) {#signo, text},
#include "master/signals.def"
#undef SIGNAL
};

static const struct {
	const char *name, *arguments, *text;
} commands[] = {
#define COMMAND(id, name, least, most, who, arguments, text) {name, arguments, text},
#include "lib/ipc/control.def"
#undef COMMAND
};

static const struct {
	int letter;
	const char *name, *argument, *help;
} stat_options[] = {
#define OPTION(letter, name, argument, help) {letter, name, argument, help},
#include "tools/batonstat_options.def"
#undef OPTION
};

/* Text with roff's special characters made harmless. */
static void
put(const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", stdout);
	for (; *s; s++) {
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else
			putchar(*s);
	}
}

static void
header(const char *name, const char *section, const char *what)
{
	printf(".TH %s %s \"\" \"baton " BATON_VERSION "\"\n.SH NAME\n%s \\- ", name, section, name);
	put(what);
	printf("\n.SH SYNOPSIS\n");
}

/* One option as a tagged paragraph. */
static void
item(int letter, const char *name, const char *argument, const char *help, const char *unless_given)
{
	printf(".TP\n\\fB");
	if (letter)
		printf("\\-%c\\fR, \\fB", letter);
	put("--");
	put(name);
	printf("\\fR");
	if (argument && argument[0]) {
		printf(" \\fI");
		put(argument);
		printf("\\fR");
	}
	putchar('\n');
	put(help);
	if (unless_given && unless_given[0]) {
		fputs(" (default: ", stdout);
		put(unless_given);
		putchar(')');
	}
	putchar('\n');
}

static void
options_of_kind(enum option_kind kind, const char *title)
{
	printf(".SH %s\n", title);
	for (size_t i = 0; i < ARRAY_LEN(baton_options); i++) {
		const struct option_row *o = &baton_options[i];

		if (o->kind == kind)
			item(o->letter, o->name, o->argument, o->help, o->unless_given);
	}
}

static void
page_baton(void)
{
	header("baton", "8", "an L7 proxy that runs Envoy's configuration");
	printf("\\fBbaton\\fR \\fB\\-c\\fR \\fIPATH\\fR [\\fIOPTION\\fR]...\n.SH DESCRIPTION\n");
	put("A master process owns listening sockets and shared memory, an admin process decides "
	    "(configuration, health, operators), workers carry traffic. Exit status: 0 after a clean "
	    "end or a configuration that is right, 1 when it cannot start.");
	putchar('\n');
	options_of_kind(ENVOY, "OPTIONS AS ENVOY'S");
	options_of_kind(OURS, "OPTIONS OF BATON'S OWN");
	options_of_kind(NO_EFFECT, "OPTIONS ACCEPTED WITHOUT EFFECT");
	printf(".SH SIGNALS\nSent to the master process.\n");
	for (size_t i = 0; i < ARRAY_LEN(baton_signals); i++) {
		if (strcmp(baton_signals[i].name, "SIGCHLD") == 0)
			continue;
		printf(".TP\n\\fB%s\\fR\n", baton_signals[i].name);
		put(baton_signals[i].text);
		putchar('\n');
	}
	printf(".SH SEE ALSO\n\\fBbatonctl\\fR(1), \\fBbatonstat\\fR(1)\n");
}

static void
page_batonctl(void)
{
	header("batonctl", "1", "talk to a running baton");
	printf("\\fBbatonctl\\fR [\\fB\\-\\-base\\-id\\fR \\fIN\\fR] [\\fB\\-\\-runtime\\-dir\\fR "
	       "\\fIPATH\\fR] [\\fB\\-\\-json\\fR | \\fB\\-o\\fR text|json] \\fICOMMAND\\fR\n.SH COMMANDS\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		printf(".TP\n\\fB%s\\fR \\fI", commands[i].name);
		put(commands[i].arguments);
		printf("\\fR\n");
		put(commands[i].text);
		putchar('\n');
	}
	printf(".SH EXIT STATUS\n0 done, 1 nobody answers, 2 wrong usage, 3 refused.\n"
	       ".SH SEE ALSO\n\\fBbaton\\fR(8), \\fBbatonstat\\fR(1)\n");
}

static void
page_batonstat(void)
{
	header("batonstat", "1", "read baton's numbers from shared memory");
	printf("\\fBbatonstat\\fR [\\fIOPTION\\fR]...\n.SH DESCRIPTION\n");
	put("Reads the segments of every generation and the totals of the dead ones; no process needs "
	    "to be alive. Live on a terminal, once when its output is piped.");
	printf("\n.SH OPTIONS\n");
	for (size_t i = 0; i < ARRAY_LEN(stat_options); i++)
		item(stat_options[i].letter, stat_options[i].name, stat_options[i].argument,
		    stat_options[i].help, NULL);
	printf(".SH SEE ALSO\n\\fBbaton\\fR(8), \\fBbatonctl\\fR(1)\n");
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*page)(void);
	} pages[] = {
	    {"baton", page_baton}, {"batonctl", page_batonctl}, {"batonstat", page_batonstat}};

	for (size_t i = 0; argc == 2 && i < ARRAY_LEN(pages); i++) {
		if (strcmp(argv[1], pages[i].name) == 0) {
			pages[i].page();
			return 0;
		}
	}
	fprintf(stderr, "usage: mandoc baton|batonctl|batonstat\n");
	return 2;
}
