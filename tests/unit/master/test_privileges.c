/* Who may do what: capabilities, user and groups of each process, as /proc shows them. */
#include "tests/unit/master/scene.h"

static void
status_line(pid_t pid, const char *name, char *out, size_t n)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	out[0] = '\0';
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			snprintf(out, n, "%s", line + strlen(name) + 1);
	fclose(f);
}

static void
workers_have_no_privileges(void **state)
{
	struct scene *s = *state;
	pid_t worker, admin;
	char line[256];
	unsigned long long caps;

	serve(s);
	worker = pid_of(s, "worker 1");
	admin = pid_of(s, "admin");
	status_line(worker, "NoNewPrivs:", line, sizeof(line));
	assert_int_equal(atoi(line), 1);
	if (geteuid() != 0)
		return;
	status_line(worker, "Uid:", line, sizeof(line));
	assert_int_not_equal(atoi(line), 0);
	status_line(worker, "Groups:", line, sizeof(line));
	assert_null(strpbrk(line, "0123456789"));
	status_line(worker, "CapPrm:", line, sizeof(line));
	assert_int_equal(strtoull(line, NULL, 16), 0);
	status_line(admin, "CapEff:", line, sizeof(line));
	assert_int_equal(strtoull(line, NULL, 16) & ~(1ull << 2), 0); /* DAC_READ_SEARCH at most */
	status_line(s->master, "CapEff:", line, sizeof(line));
	caps = strtoull(line, NULL, 16);
	/* KILL SETGID SETUID NET_BIND_SERVICE NET_ADMIN at most */
	assert_int_equal(caps & ~(1ull << 5 | 1ull << 6 | 1ull << 7 | 1ull << 10 | 1ull << 12), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(workers_have_no_privileges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
