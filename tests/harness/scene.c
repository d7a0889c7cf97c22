#include "tests/harness/scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/harness/warden.h"

uint64_t
scene_now_ms(void)
{
	return clock_mono_ns() / NS_PER_MS;
}

void
scene_pause(void)
{
	usleep(5000);
}

const char *
scene_program(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	const char *b = getenv("B");
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", b ? b : "build/san", name);
	return p;
}

void
scene_init(struct scene *sc)
{
	memset(sc, 0, sizeof(*sc));
	snprintf(sc->dir, sizeof(sc->dir), "/tmp/baton-test-XXXXXX");
	assert_non_null(mkdtemp(sc->dir));
	warden_watch(sc->dir);
	sc->log = mem_printf("%s/log", sc->dir);
	signal(SIGPIPE, SIG_IGN);
}

/* ---- files */

char *
scene_log(struct scene *sc)
{
	struct strb b = {0};
	char part[4096];
	ssize_t n;
	int fd = open(sc->log, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && (n = read(fd, part, sizeof(part))) > 0)
		strb_add(&b, part, (size_t)n);
	if (fd >= 0)
		close(fd);
	return strb_give(&b);
}

static bool
log_has(struct scene *sc, const char *text)
{
	char *log = scene_log(sc);
	bool has = strstr(log, text) != NULL;

	mem_free(log);
	return has;
}

void
scene_wait_log(struct scene *sc, const char *text)
{
	WAIT_FOR(log_has(sc, text));
}

static void
add_port(struct strb *b, struct scene *sc, char digit)
{
	unsigned i = (unsigned)(digit - '0');

	strb_printf(b, "%u", i < SCENE_HOSTS ? sc->host_port[i] : 0);
}

static char *
fill_in(struct scene *sc, const char *text)
{
	struct strb b = {0};

	while (*text) {
		if (strncmp(text, "@HOST", 5) == 0 && text[6] == '@') {
			add_port(&b, sc, text[5]);
			text += 7;
		} else if (strncmp(text, "@DIR@", 5) == 0) {
			strb_addz(&b, sc->dir);
			text += 5;
		} else {
			strb_addc(&b, *text++);
		}
	}
	return strb_give(&b);
}

void
scene_write_config(struct scene *sc, const char *yaml)
{
	char *path = mem_printf("%s/baton.yaml", sc->dir);
	char *text = fill_in(sc, yaml);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	mem_free(text);
	mem_free(path);
}

static char *
read_file(const char *path)
{
	struct strb b = {0};
	char part[4096];
	size_t n;
	FILE *f = fopen(path, "r");

	while (f && (n = fread(part, 1, sizeof(part), f)) > 0)
		strb_add(&b, part, n);
	if (f)
		fclose(f);
	return strb_give(&b);
}

char *
scene_file(struct scene *sc, const char *name)
{
	char *path = mem_printf("%s/%s", sc->dir, name);
	char *text = read_file(path);

	mem_free(path);
	return text;
}

bool
scene_file_has(struct scene *sc, const char *name, const char *text)
{
	char *all = scene_file(sc, name);
	bool has = strstr(all, text) != NULL;

	mem_free(all);
	return has;
}

/* ---- processes */

static pid_t
spawn(char *const *argv, int out_fd)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/* Should the scene fail half-way; what follows it is the warden's. */
		prctl(PR_SET_PDEATHSIG, SIGINT);
		setpgid(0, 0);
		dup2(out_fd, 1);
		dup2(out_fd, 2);
		execv(argv[0], argv);
		fprintf(stderr, "exec %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	return pid;
}

static int
open_log(struct scene *sc)
{
	int fd = open(sc->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static bool
ask_admin_port(struct scene *sc)
{
	char *path = mem_printf("%s/admin", sc->dir);
	char *text = read_file(path);
	const char *colon = strrchr(text, ':');
	int status;

	sc->admin_port = colon ? (uint16_t)atoi(colon + 1) : 0;
	mem_free(text);
	mem_free(path);
	if (sc->admin_port == 0 && waitpid(sc->proxy, &status, WNOHANG) == sc->proxy) {
		char *log = scene_log(sc);

		sc->proxy = 0;
		fail_msg("baton ended at its start (status %d):\n%s", status, log);
	}
	return sc->admin_port != 0;
}

static bool
is_ready(struct scene *sc)
{
	struct reply r = scene_admin(sc, "GET", "/ready");
	bool ready = r.status == 200;

	reply_free(&r);
	return ready;
}

/* "name::127.0.0.1:PORT" of /listeners: the first one's port. */
static void
ask_listener_port(struct scene *sc)
{
	struct reply r = scene_admin(sc, "GET", "/listeners");
	char *end = r.body ? strchr(r.body, '\n') : NULL;

	if (end)
		*end = '\0';
	if (end && strrchr(r.body, ':'))
		sc->port = (uint16_t)atoi(strrchr(r.body, ':') + 1);
	reply_free(&r);
}

void
scene_find_ports(struct scene *sc)
{
	WAIT_FOR(ask_admin_port(sc));
	WAIT_FOR(is_ready(sc));
	ask_listener_port(sc);
}

void
scene_proxy_begin(struct scene *sc, const char *yaml)
{
	char *argv[40];
	char *config = mem_printf("%s/baton.yaml", sc->dir);
	char *admin = mem_printf("%s/admin", sc->dir);
	int n = 0, fd = open_log(sc);

	scene_write_config(sc, yaml);
	for (int i = 0; sc->wrap[i]; i++)
		argv[n++] = (char *)sc->wrap[i];
	argv[n++] = (char *)scene_program("baton");
	argv[n++] = "-c";
	argv[n++] = config;
	argv[n++] = "--runtime-dir";
	argv[n++] = sc->dir;
	argv[n++] = "--admin-address-path";
	argv[n++] = admin;
	for (int i = 0; sc->extra[i]; i++)
		argv[n++] = (char *)sc->extra[i];
	argv[n] = NULL;
	unlink(admin);
	sc->proxy = spawn(argv, fd);
	close(fd);
	WAIT_FOR(ask_admin_port(sc));
	mem_free(config);
	mem_free(admin);
}

void
scene_proxy(struct scene *sc, const char *yaml)
{
	scene_proxy_begin(sc, yaml);
	scene_find_ports(sc);
}

static int
run_argv(struct scene *sc, char **out, char **argv)
{
	char *path = mem_printf("%s/output", sc->dir);
	int status, fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	pid_t pid = spawn(argv, fd);
	uint64_t until = scene_now_ms() + SCENE_PATIENCE_MS;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (scene_now_ms() > until) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			fail_msg("%s did not end", argv[0]);
		}
		scene_pause();
	}
	close(fd);
	if (out)
		*out = read_file(path);
	mem_free(path);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int
scene_run(struct scene *sc, char **out, ...)
{
	char *argv[40];
	int n = 0;
	va_list ap;

	argv[n++] = (char *)scene_program("baton");
	argv[n++] = "--runtime-dir";
	argv[n++] = sc->dir;
	va_start(ap, out);
	while ((argv[n] = va_arg(ap, char *)) != NULL)
		n++;
	va_end(ap);
	return run_argv(sc, out, argv);
}

int
scene_run_tool(struct scene *sc, char **out, const char *program, ...)
{
	char *argv[40];
	int n = 0;
	va_list ap;

	argv[n++] = strchr(program, '/') ? (char *)program : (char *)scene_program(program);
	if (strcmp(program, "batonctl") == 0 || strcmp(program, "batonstat") == 0) {
		argv[n++] = "--runtime-dir";
		argv[n++] = sc->dir;
	}
	va_start(ap, program);
	while ((argv[n] = va_arg(ap, char *)) != NULL)
		n++;
	va_end(ap);
	return run_argv(sc, out, argv);
}

static bool
has_ended(struct scene *sc, int *status)
{
	return waitpid(sc->proxy, status, WNOHANG) == sc->proxy;
}

int
scene_wait_exit(struct scene *sc)
{
	int status;

	WAIT_FOR(has_ended(sc, &status));
	sc->proxy = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Children of the proxy, by the title they show in ps. */
pid_t
scene_child(struct scene *sc, const char *title)
{
	char *want = mem_printf("baton: %s", title);
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t found = 0;

	while (found == 0 && (e = readdir(d)) != NULL) {
		char path[300], stat[512] = "", cmd[256] = "";
		int ppid = 0;
		FILE *f;

		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		f = fopen(path, "r");
		if (f == NULL)
			continue;
		if (fgets(stat, sizeof(stat), f) && strrchr(stat, ')'))
			sscanf(strrchr(stat, ')') + 1, " %*c %d", &ppid);
		fclose(f);
		if (ppid != sc->proxy)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		f = fopen(path, "r");
		if (f && fgets(cmd, sizeof(cmd), f) && strncmp(cmd, want, strlen(want)) == 0)
			found = atoi(e->d_name);
		if (f)
			fclose(f);
	}
	closedir(d);
	mem_free(want);
	return found;
}

static bool
child_is_new(struct scene *sc, const char *title, pid_t not_this, pid_t *pid)
{
	*pid = scene_child(sc, title);
	return *pid != 0 && *pid != not_this;
}

pid_t
scene_wait_child(struct scene *sc, const char *title, pid_t not_this)
{
	pid_t pid = 0;

	WAIT_FOR(child_is_new(sc, title, not_this, &pid));
	return pid;
}

unsigned
scene_descriptors(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- the end */

static void
end_process(pid_t pid, int signo)
{
	uint64_t until = scene_now_ms() + 5000;

	if (pid <= 0)
		return;
	kill(pid, signo);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (scene_now_ms() > until) {
			kill(-pid, SIGKILL); /* its process group: children of a master that hangs */
			waitpid(pid, NULL, 0);
			return;
		}
		scene_pause();
	}
}

void
scene_host_stop(struct scene *sc, unsigned host)
{
	end_process(sc->host_pid[host], SIGKILL);
	sc->host_pid[host] = 0;
}

void
scene_fini(struct scene *sc)
{
	/* Orphans of a killed master still answer at its control socket, one a connection.  A segment
	 * of a proxy that was killed lies in /dev/shm, behind a link. */
	char *const rm[] = {"/bin/sh", "-c",
	    "for n in 1 2 3 4 5 6 7 8; do [ -S \"$0/0/control.sock\" ] && "
	    "\"$1\" --runtime-dir \"$0\" stop now >/dev/null 2>&1 || break; done; "
	    "for l in \"$0\"/*/g*/segment; do [ -L \"$l\" ] && rm -f \"$(readlink \"$l\")\"; done; "
	    "rm -rf \"$0\"",
	    sc->dir, (char *)scene_program("batonctl"), NULL};
	char *log = scene_log(sc);
	bool sanitizer = strstr(log, "ERROR: AddressSanitizer") || strstr(log, "runtime error:") ||
	    strstr(log, "ERROR: LeakSanitizer") || strstr(log, "assertion failed");

	end_process(sc->proxy, SIGINT);
	for (unsigned i = 0; i < sc->hosts; i++)
		scene_host_stop(sc, i);
	if (sanitizer)
		fprintf(stderr, "%s\n", log);
	end_process(spawn(rm, 2), 0);
	warden_forget(sc->dir);
	mem_free(sc->log);
	mem_free(log);
	assert_false(sanitizer);
}
