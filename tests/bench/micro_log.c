/*
 * What a line of the access log costs: nanoseconds of CPU for Envoy's
 * default line in memory, and with its bytes written to a file by 64 KiB,
 * as a worker does.  Beside it a worker pays for what the line reads that
 * its caches no longer hold.
 *
 *   micro_log FILE [LINES]      1000000; FILE is emptied
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/http/headers.h"
#include "lib/net/address.h"
#include "worker/access_log/format.h"
#include "worker/hcm/stream_info.h"

#define BUFFER (64 * 1024)
#define LINES_IN_A_TURN 40 /* which have the same time */

static uint64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void
describe(struct stream_info *info, struct headers *request, struct headers *response)
{
	headers_add_id(request, HDR_METHOD, STR("GET"));
	headers_add_id(request, HDR_PATH, STR("/"));
	headers_add_id(request, HDR_SCHEME, STR("http"));
	headers_add_id(request, HDR_AUTHORITY, STR("127.0.0.1:10000"));
	headers_add(request, STR("x-forwarded-proto"), STR("http"));
	headers_add_id(response, HDR_STATUS, STR("200"));
	headers_add(response, STR("content-length"), STR("1024"));
	headers_add(response, STR("server"), STR("envoy"));
	headers_add_id(response, HDR_X_ENVOY_UPSTREAM_SERVICE_TIME, STR("1"));
	info->request = request;
	info->response = response;
	info->protocol = HTTP_11;
	info->status = 200;
	info->bytes_out = 1024;
	info->start_ns = NS_PER_S;
	info->start_wall_ns = clock_wall_ns();
	info->end_ns = info->start_ns + 2 * NS_PER_MS;
}

static void
write_out(int fd, struct strb *out)
{
	if (fd >= 0 && write(fd, out->p, out->n) != (ssize_t)out->n) {
		perror("micro_log");
		exit(1);
	}
	strb_reset(out);
}

/* fd -1: in memory only. */
static double
ns_a_line(const struct format *f, struct stream_info *info, unsigned long lines, int fd)
{
	struct strb out = {0};
	uint64_t from = cpu_ns();

	for (unsigned long i = 0; i < lines; i++) {
		if (i % LINES_IN_A_TURN == 0)
			info->start_wall_ns += NS_PER_MS;
		format_write(f, info, &out);
		if (out.n >= BUFFER)
			write_out(fd, &out);
	}
	write_out(fd, &out);
	strb_fini(&out);
	return (double)(cpu_ns() - from) / (double)lines;
}

int
main(int argc, char **argv)
{
	unsigned long lines = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000;
	struct headers request, response;
	struct stream_info info = {0};
	struct address host;
	struct format *f;
	struct arena a;
	struct err err;
	int fd;

	if (argc < 2 || lines == 0 ||
	    (fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600)) < 0) {
		fprintf(stderr, "usage: micro_log FILE [LINES]\n");
		return 1;
	}
	arena_init(&a);
	headers_init(&request, &a);
	headers_init(&response, &a);
	describe(&info, &request, &response);
	if (address_parse(&host, STR("127.0.0.1:18080"), &err) < 0 ||
	    format_compile(&f, str_of(format_default_text), &a, &err) < 0) {
		fprintf(stderr, "micro_log: %s\n", err.text);
		return 1;
	}
	info.upstream = &host;
	ns_a_line(f, &info, lines / 10, -1);
	printf("in memory %.0f ns a line", ns_a_line(f, &info, lines, -1));
	printf(", with a file %.0f ns\n", ns_a_line(f, &info, lines, fd));
	close(fd);
	arena_fini(&a);
	return 0;
}
