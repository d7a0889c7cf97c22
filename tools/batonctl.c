/*
 * batonctl: talks to a running baton over its control socket.  Knows no
 * command by itself: the words are checked against lib/ipc/control.def,
 * sent, and the answer is printed.
 *
 * Exit status: 0 done, 1 nobody answers, 2 wrong usage, 3 refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/ipc/control.h"
#include "shm/paths.h"

struct target {
	const char *runtime_dir; /* NULL: the usual one */
	uint64_t base_id;
};

static void
usage(FILE *out)
{
	fprintf(out, "usage: batonctl [--base-id N] [--runtime-dir PATH] [--json | -o text|json] COMMAND\n"
		     "options may stand before the command or after it\n\n");
	for (unsigned i = 0; i < CONTROL_COMMANDS; i++)
		fprintf(out, "  %-12s %-32s %s\n", control_rows[i].name, control_rows[i].arguments,
		    control_rows[i].text);
	fprintf(out, "\nexit status: 0 done, 1 nobody answers, 2 wrong usage, 3 refused\n");
}

/* The socket by way of its directory's descriptor: a path may be longer than an address holds. */
static int
dial(const struct target *t, struct strb *shown)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int dir, fd, code;

	strb_reset(shown);
	path_base(shown, t->runtime_dir, t->base_id);
	dir = open(strb_z(shown), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -1;
	snprintf(un.sun_path, sizeof(un.sun_path), "/proc/self/fd/%d/" PATH_CONTROL, dir);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		code = errno;
		close(fd);
		fd = -1;
		errno = code;
	}
	code = errno;
	close(dir);
	errno = code;
	return fd;
}

static unsigned
receive(int fd, struct strb *text)
{
	static char packet[CONTROL_PACKET];
	unsigned status = CONTROL_UNREACHABLE;
	ssize_t n;

	while ((n = recv(fd, packet, sizeof(packet), 0)) > 0)
		control_answer_read(str_make(packet, (size_t)n), &status, text);
	return status;
}

/* Sends the request and gives the answer's status; CONTROL_UNREACHABLE when there is none. */
static unsigned
ask(const struct target *t, const struct control_request *r, struct strb *text, struct strb *shown)
{
	struct strb b = {0};
	unsigned status = CONTROL_UNREACHABLE;
	int fd = dial(t, shown);

	if (fd < 0)
		return status;
	control_request_write(&b, r);
	if (send(fd, b.p, b.n, MSG_NOSIGNAL) == (ssize_t)b.n)
		status = receive(fd, text);
	strb_fini(&b);
	close(fd);
	return status;
}

static void
print(unsigned status, const struct strb *text)
{
	FILE *out = status == CONTROL_OK ? stdout : stderr;

	fwrite(strb_z(text), 1, text->n, out);
	if (text->n && text->p[text->n - 1] != '\n')
		fputc('\n', out);
}

/* Orphans share the socket and each answers for itself: ask until nobody is left. */
static void
ask_the_rest(const struct target *t, const struct control_request *r, struct strb *text)
{
	struct strb shown = {0}, more = {0};

	for (int i = 0; i < 4096 && str_contains(strb_str(text), STR("pid ")); i++) {
		strb_reset(&more);
		if (ask(t, r, &more, &shown) != CONTROL_OK)
			break;
		if (!str_eq(strb_str(&more), strb_str(text))) /* it may answer again before it is gone */
			print(CONTROL_OK, &more);
		strb_reset(text);
		strb_adds(text, strb_str(&more));
		usleep(10000);
	}
	strb_fini(&shown);
	strb_fini(&more);
}

static int
run(const struct target *t, const struct control_request *r)
{
	struct strb text = {0}, shown = {0};
	enum control_command command;
	struct err err;
	unsigned status;

	if (control_find(r, &command, &err) < 0) {
		fprintf(stderr, "batonctl: %s\n", err.text);
		return CONTROL_USAGE;
	}
	status = ask(t, r, &text, &shown);
	if (status == CONTROL_UNREACHABLE)
		fprintf(stderr, "batonctl: no baton answers in %s (%s)\n", strb_z(&shown),
		    strerror(errno));
	else
		print(status, &text);
	if (command == CONTROL_STOP && status == CONTROL_OK)
		ask_the_rest(t, r, &text);
	strb_fini(&text);
	strb_fini(&shown);
	return (int)status;
}

static int
wrong(const char *what, const char *value)
{
	fprintf(stderr, "batonctl: %s '%s'\n", what, value);
	return CONTROL_USAGE;
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"base-id", required_argument, NULL, 'b'},
	    {"runtime-dir", required_argument, NULL, 'r'},
	    {"output", required_argument, NULL, 'o'},
	    {"json", no_argument, NULL, 'j'},
	    {"why", no_argument, NULL, 'w'},
	    {"version", no_argument, NULL, 'v'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	struct control_request request = {0};
	struct target target = {0};
	bool why = false;
	int c;

	while ((c = getopt_long(argc, argv, "o:h", longs, NULL)) != -1) {
		if (c == 'b' && !str_u64(str_of(optarg), &target.base_id))
			return wrong("not a base id:", optarg);
		if (c == 'o' && strcmp(optarg, "json") != 0 && strcmp(optarg, "text") != 0)
			return wrong("not an output format:", optarg);
		if (c == 'r')
			target.runtime_dir = optarg;
		if (c == 'o')
			request.json = strcmp(optarg, "json") == 0;
		if (c == 'j')
			request.json = true;
		if (c == 'w')
			why = true;
		if (c == 'v')
			printf("batonctl version: %s\n", BATON_VERSION);
		if (c == 'h')
			usage(stdout);
		if (c == 'v' || c == 'h')
			return 0;
		if (c == '?')
			return CONTROL_USAGE;
	}
	if (optind == argc) {
		usage(stderr);
		return CONTROL_USAGE;
	}
	if (argc - optind + why > CONTROL_WORDS)
		return wrong("too many words after", argv[optind]);
	for (int i = optind; i < argc; i++)
		request.words[request.n++] = str_of(argv[i]);
	if (why)
		request.words[request.n++] = STR("why");
	return run(&target, &request);
}
