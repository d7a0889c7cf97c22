#include "master/usable_cpus.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t
divide_up(long long quota, long long period)
{
	if (quota <= 0 || period <= 0)
		return 0;
	return (uint32_t)((quota + period - 1) / period);
}

uint32_t
cpus_of_quota_v2(const char *cpu_max)
{
	long long quota, period;

	return sscanf(cpu_max, "%lld %lld", &quota, &period) == 2 ? divide_up(quota, period) : 0;
}

uint32_t
cpus_of_quota_v1(const char *quota_us, const char *period_us)
{
	return divide_up(atoll(quota_us), atoll(period_us));
}

static int
read_file(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return -1;
	out[n] = '\0';
	return 0;
}

static uint32_t
least(uint32_t a, uint32_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

static uint32_t
quota_in(const char *root, const char *group, int version)
{
	char path[4300], quota[64], period[64];

	if (version == 2) {
		snprintf(path, sizeof(path), "%s%s/cpu.max", root, group);
		return read_file(path, quota, sizeof(quota)) < 0 ? 0 : cpus_of_quota_v2(quota);
	}
	snprintf(path, sizeof(path), "%s%s/cpu.cfs_quota_us", root, group);
	if (read_file(path, quota, sizeof(quota)) < 0)
		return 0;
	snprintf(path, sizeof(path), "%s%s/cpu.cfs_period_us", root, group);
	return read_file(path, period, sizeof(period)) < 0 ? 0 : cpus_of_quota_v1(quota, period);
}

/* The smallest quota of the group and everything above it. */
static uint32_t
quota_up(const char *root, char *group, int version)
{
	uint32_t best = 0;

	for (;;) {
		char *slash = strrchr(group, '/');

		best = least(best, quota_in(root, group, version));
		if (slash == NULL)
			return best;
		*slash = '\0';
	}
}

/* A line of /proc/self/cgroup: "0::/a/b" or "4:cpu,cpuacct:/a/b". */
static uint32_t
quota_of_line(char *line)
{
	char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;

	if (group == NULL)
		return 0;
	*group++ = '\0';
	controllers++;
	if (*controllers == '\0')
		return quota_up("/sys/fs/cgroup", group, 2);
	for (char *c = strtok(controllers, ","); c; c = strtok(NULL, ","))
		if (strcmp(c, "cpu") == 0)
			return quota_up("/sys/fs/cgroup/cpu", group, 1);
	return 0;
}

static uint32_t
quota(void)
{
	char groups[8192], *at = groups, *line;
	uint32_t best = 0;

	if (read_file("/proc/self/cgroup", groups, sizeof(groups)) < 0)
		return 0;
	while ((line = strsep(&at, "\n")) != NULL)
		best = least(best, quota_of_line(line));
	return best;
}

uint32_t
usable_cpus(void)
{
	cpu_set_t *set = CPU_ALLOC(4096);
	size_t size = CPU_ALLOC_SIZE(4096);
	uint32_t n = 0;

	if (set && sched_getaffinity(0, size, set) == 0)
		n = (uint32_t)CPU_COUNT_S(size, set);
	CPU_FREE(set);
	n = least(n, quota());
	return n ? n : 1;
}
