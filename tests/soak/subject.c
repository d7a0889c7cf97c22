/* What all subjects share: ports, files, findings; and the patterns of bodies. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "tests/soak/soak.h"

char run_dir[64];
uint16_t origin_port, h1_port, h2_port;
unsigned slow_s, version_least, version_most, refused, faults;

void
fault(const char *fmt, ...)
{
	va_list ap;

	faults++;
	printf("FAULT   ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

void
write_file(const char *name, const char *fmt, ...)
{
	char *path = mem_printf("%s/%s", run_dir, name), *part = mem_printf("%s.new", path);
	FILE *f = fopen(part, "we");
	va_list ap;

	if (f == NULL) {
		perror(part);
		exit(1);
	}
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	fclose(f);
	rename(part, path);
	mem_free(path);
	mem_free(part);
}

static struct sockaddr_in
loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Below the kernel's own choices, so that no client's connection takes it meanwhile. */
uint16_t
free_port(void)
{
	static unsigned next;

	if (next == 0)
		next = 10000 + (unsigned)getpid() * 7 % 20000;
	for (;; next++) {
		struct sockaddr_in a = loopback((uint16_t)next);
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bool is_free = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

		close(fd);
		if (is_free)
			return (uint16_t)next++;
	}
}

void
wait_for_port(uint16_t port)
{
	uint64_t until = clock_mono_ns() + 30 * NS_PER_S;
	struct sockaddr_in a = loopback(port);

	while (clock_mono_ns() < until) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bool answers = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

		close(fd);
		if (answers)
			return;
		usleep(20000);
	}
	printf("soak: nobody listens on port %u\n", port);
	process_end_all();
	exit(1);
}

unsigned
between(unsigned least, unsigned most)
{
	return least + (unsigned)rand_below(most - least + 1);
}

void
pattern_fill(struct strb *b, uint64_t seed, uint64_t at, size_t n)
{
	strb_reserve(b, n);
	for (size_t i = 0; i < n; i++)
		b->p[b->n + i] = pattern_byte(seed, at + i);
	b->n += n;
	b->p[b->n] = '\0';
}

bool
pattern_matches(const char *bytes, size_t n, uint64_t seed, uint64_t at)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != pattern_byte(seed, at + i))
			return false;
	return true;
}

uint64_t
pattern_fnv(uint64_t seed, uint64_t n)
{
	uint64_t h = FNV_START;

	for (uint64_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)pattern_byte(seed, i)) * 0x100000001b3ull;
	return h;
}
