/*
 * Processes of the soak: it is the reaper of all that descends from it, so
 * that generations which left their parents are still found, measured and
 * ended.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "tests/soak/soak.h"

#define COMMAND_NS (60 * NS_PER_S)

struct ended {
	pid_t pid;
	int status;
};

struct process {
	pid_t pid, parent;
};

struct inodes {
	unsigned long *at;
	size_t len, cap;
};

static VEC(struct ended) ended;

static volatile sig_atomic_t interrupted;

static void
on_signal(int signo)
{
	interrupted = 1;
}

void
processes_init(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
}

bool
process_interrupted(void)
{
	return interrupted;
}

char *
program(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	const char *b = getenv("B");
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", b ? b : "build", name);
	return p;
}

/* ---- starting and ending */

/* Of an orphan that had this pid before: nobody asks any more. */
static void
forget_ended(pid_t pid)
{
	for (size_t i = ended.len; i-- > 0;)
		if (ended.at[i].pid == pid)
			vec_remove(&ended, i);
}

pid_t
process_start(char *const *argv, const char *log)
{
	pid_t pid = fork();
	int fd;

	if (pid) {
		forget_ended(pid);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGINT);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	if (fd > 2)
		close(fd);
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void
reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		*vec_push(&ended) = (struct ended){pid, status};
}

bool
process_ended(pid_t pid, int *status)
{
	reap();
	for (size_t i = 0; i < ended.len; i++) {
		if (ended.at[i].pid != pid)
			continue;
		*status = ended.at[i].status;
		vec_remove(&ended, i);
		return true;
	}
	return false;
}

static void
read_file(const char *path, struct strb *out)
{
	char part[4096];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && (n = read(fd, part, sizeof(part))) > 0)
		strb_add(out, part, (size_t)n);
	if (fd >= 0)
		close(fd);
}

int
process_run(char *const *argv, struct strb *out)
{
	uint64_t until = clock_mono_ns() + COMMAND_NS;
	char *log = mem_printf("%s/output", run_dir);
	pid_t pid;
	int status;

	unlink(log);
	pid = process_start(argv, log);
	while (!process_ended(pid, &status)) {
		loop_turn(5);
		if (clock_mono_ns() < until)
			continue;
		fault("%s %s did not end", argv[0], argv[1]);
		kill(pid, SIGKILL);
		until += COMMAND_NS;
	}
	if (out)
		read_file(log, out);
	if (WIFSIGNALED(status))
		printf("%s was killed by signal %d\n", argv[0], WTERMSIG(status));
	mem_free(log);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void
run_for(unsigned ms)
{
	uint64_t until = clock_mono_ns() + ms * NS_PER_MS;

	for (uint64_t now = clock_mono_ns(); now < until; now = clock_mono_ns())
		loop_turn((unsigned)((until - now) / NS_PER_MS) + 1);
}

/* ---- looking around in /proc */

static pid_t
parent_of(pid_t pid)
{
	char path[64], stat[512];
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fgets(stat, sizeof(stat), f) && strrchr(stat, ')'))
		sscanf(strrchr(stat, ')') + 1, " %*c %d", &parent);
	fclose(f);
	return parent;
}

static bool
is_dead(pid_t pid)
{
	char path[64], stat[512], state = 'X';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return true;
	if (fgets(stat, sizeof(stat), f) && strrchr(stat, ')'))
		sscanf(strrchr(stat, ')') + 1, " %c", &state);
	fclose(f);
	return state == 'Z' || state == 'X';
}

void
process_wait_gone(pid_t pid)
{
	for (unsigned tries = 0; tries < 10000 && !is_dead(pid); tries++)
		usleep(500);
}

static bool
has_title(pid_t pid, const char *title)
{
	char path[64], line[128] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	fclose(f);
	return strncmp(line, title, strlen(title)) == 0;
}

static struct process *
all_processes(size_t *n)
{
	VEC(struct process) v = {0};
	DIR *d = opendir("/proc");
	struct dirent *e;

	while ((e = readdir(d)) != NULL) {
		pid_t pid = atoi(e->d_name);

		if (pid > 0)
			*vec_push(&v) = (struct process){pid, parent_of(pid)};
	}
	closedir(d);
	*n = v.len;
	return v.at;
}

unsigned
process_children(pid_t parent, const char *title, pid_t *pids, unsigned room)
{
	size_t n;
	struct process *all = all_processes(&n);
	unsigned found = 0;

	for (size_t i = 0; i < n && found < room; i++)
		if (all[i].parent == parent && has_title(all[i].pid, title))
			pids[found++] = all[i].pid;
	mem_free(all);
	return found;
}

static bool
descends_from(const struct process *all, size_t n, pid_t pid, pid_t from)
{
	for (unsigned steps = 0; pid > 1 && steps < 16; steps++) {
		size_t i = 0;

		if (pid == from)
			return true;
		while (i < n && all[i].pid != pid)
			i++;
		pid = i < n ? all[i].parent : 0;
	}
	return false;
}

static uint64_t
pss_kib(pid_t pid)
{
	char path[64], line[128];
	unsigned long long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pss: %llu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* One that was just executed has no title yet, and is a master to be. */
static bool
baton_role(pid_t pid, enum baton_role *role)
{
	static const char *const titles[] = {"baton: master", "baton: admin", "baton: worker"};
	char path[64], line[256] = "";
	const char *slash;
	FILE *f;

	for (unsigned i = 0; i < 3; i++) {
		*role = i;
		if (has_title(pid, titles[i]))
			return true;
	}
	*role = BATON_MASTER;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	fclose(f);
	slash = strrchr(line, '/');
	return slash && strcmp(slash, "/baton") == 0;
}

unsigned
process_batons(struct baton_process *out, unsigned room)
{
	size_t n;
	struct process *all = all_processes(&n);
	unsigned found = 0;
	pid_t self = getpid();

	reap();
	for (size_t i = 0; i < n && found < room; i++) {
		enum baton_role role;

		if (all[i].pid == self || !descends_from(all, n, all[i].pid, self) ||
		    !baton_role(all[i].pid, &role))
			continue;
		out[found++] = (struct baton_process){all[i].pid, all[i].parent, role};
	}
	mem_free(all);
	return found;
}

struct memory
process_memory(pid_t except)
{
	struct memory m = {0};
	size_t n;
	struct process *all = all_processes(&n);
	pid_t self = getpid();

	for (size_t i = 0; i < n; i++) {
		if (all[i].pid == self || !descends_from(all, n, all[i].pid, self) ||
		    descends_from(all, n, all[i].pid, except))
			continue;
		m.pss_kib += pss_kib(all[i].pid);
		m.processes++;
		m.masters += has_title(all[i].pid, "baton: master");
	}
	mem_free(all);
	return m;
}

/* By pid, and only what descends from us. */
void
process_end_all(void)
{
	pid_t self = getpid();

	for (unsigned tries = 0; tries < 50; tries++) {
		size_t n;
		struct process *all = all_processes(&n);
		bool any = false;

		for (size_t i = 0; i < n; i++) {
			if (all[i].pid == self || !descends_from(all, n, all[i].pid, self))
				continue;
			kill(all[i].pid, SIGKILL);
			any = true;
		}
		mem_free(all);
		reap();
		if (!any)
			return;
		usleep(10000);
	}
}

/* ---- whose connections does a process hold? */

static void
add_sockets(const char *dir, struct inodes *out)
{
	char link[400], target[64];
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned long inode;

	while (d && (e = readdir(d)) != NULL) {
		ssize_t n;

		snprintf(link, sizeof(link), "%s/%s", dir, e->d_name);
		n = readlink(link, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (sscanf(target, "socket:[%lu]", &inode) == 1)
			*vec_push(out) = inode;
	}
	if (d)
		closedir(d);
}

static bool
holds(const struct inodes *v, unsigned long inode)
{
	for (size_t i = 0; i < v->len; i++)
		if (v->at[i] == inode)
			return true;
	return false;
}

/* Clients of these kinds, who are doomed when their port is named. */
static unsigned doomed_kinds, doomed;

static void
doom_peer(struct peer *p, void *arg)
{
	if (p->fd < 0 || p->port != *(uint16_t *)arg || !(doomed_kinds & 1u << p->kind))
		return;
	doomed++;
	p->doomed = true;
}

/* Who is asked for: the sockets of these states, each told to fn. */
struct survey {
	void (*fn)(const struct inet_diag_msg *m, void *arg);
	void *arg;
};

static bool
is_ours(const struct inet_diag_msg *m)
{
	uint16_t port = ntohs(m->id.idiag_sport);

	return port == h1_port || port == h2_port;
}

static void
doom_client_of(const struct inet_diag_msg *m)
{
	uint16_t theirs = ntohs(m->id.idiag_dport);

	loop_each(doom_peer, &theirs);
}

static void
doom_if_held(const struct inet_diag_msg *m, void *arg)
{
	if (is_ours(m) && holds(arg, m->idiag_inode))
		doom_client_of(m);
}

/* A connection that waits in a queue has no inode yet. */
static void
doom_if_queued(const struct inet_diag_msg *m, void *arg)
{
	if (is_ours(m) && m->idiag_inode == 0)
		doom_client_of(m);
}

static void
count_listening(const struct inet_diag_msg *m, void *arg)
{
	*(unsigned *)arg += is_ours(m);
}

static void
count_to_origin(const struct inet_diag_msg *m, void *arg)
{
	*(unsigned *)arg += ntohs(m->id.idiag_dport) == origin_port;
}

static int
ask_for_sockets(unsigned states)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 ask;
	} r = {
	    .head = {.nlmsg_len = sizeof(r),
		.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	    .ask = {.sdiag_family = AF_INET,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = states},
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd >= 0 && send(fd, &r, sizeof(r), 0) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Asks the kernel directly: /proc/net/tcp with its thousands of dead takes a tenth of a second. */
static void
survey(unsigned states, const struct survey *v)
{
	static char part[65536] __attribute__((aligned(8)));
	int fd = ask_for_sockets(states);
	bool more = true;

	if (fd < 0) {
		fault("the kernel does not tell its sockets: %s", strerror(errno));
		return;
	}
	while (more) {
		ssize_t n = recv(fd, part, sizeof(part), 0);

		more = n > 0;
		for (struct nlmsghdr *h = (struct nlmsghdr *)part;
		     more && n > 0 && NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
			more = h->nlmsg_type != NLMSG_DONE && h->nlmsg_type != NLMSG_ERROR;
			if (more)
				v->fn(NLMSG_DATA(h), v->arg);
		}
	}
	close(fd);
}

#define OPEN_STATES (1u << TCP_ESTABLISHED | 1u << TCP_CLOSE_WAIT)

void
process_doom_clients(pid_t pid)
{
	process_doom_kinds(pid, ~0u);
}

unsigned
process_doom_kinds(pid_t pid, unsigned kinds)
{
	struct inodes held = {0};
	char dir[64];

	doomed_kinds = kinds;
	doomed = 0;
	snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)pid);
	add_sockets(dir, &held);
	survey(OPEN_STATES, &(struct survey){doom_if_held, &held});
	vec_fini(&held);
	return doomed;
}

void
process_doom_queued(void)
{
	survey(OPEN_STATES, &(struct survey){doom_if_queued, NULL});
}

bool
process_somebody_listens(void)
{
	unsigned n = 0;

	survey(1u << TCP_LISTEN, &(struct survey){count_listening, &n});
	return n > 0;
}

unsigned
process_origin_connections(void)
{
	unsigned n = 0;

	survey(OPEN_STATES, &(struct survey){count_to_origin, &n});
	return n;
}

struct held {
	struct inodes inodes;
	unsigned n;
};

static void
count_held(const struct inet_diag_msg *m, void *arg)
{
	struct held *h = arg;

	h->n += ntohs(m->id.idiag_dport) == origin_port && holds(&h->inodes, m->idiag_inode);
}

#define KEPT_PIPES 64 /* for bodies that stay in the kernel (lib/base/pipe.c) */

static bool
leads_to(DIR *d, const char *name, const char *what)
{
	char target[16];
	ssize_t n = readlinkat(dirfd(d), name, target, sizeof(target));

	return n >= (ssize_t)strlen(what) && memcmp(target, what, strlen(what)) == 0;
}

/* Without the connections to the origin that wait for their next request, the pipes that wait for
 * their next body, and where they are emptied. */
unsigned
process_descriptors(pid_t pid)
{
	struct held h = {0};
	char path[64];
	struct dirent *e;
	unsigned n = 0, pipes = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	while (d && (e = readdir(d)) != NULL) {
		n += e->d_name[0] != '.';
		pipes += leads_to(d, e->d_name, "pipe:");
		n -= atoi(e->d_name) > 2 && leads_to(d, e->d_name, "/dev/null");
	}
	if (d)
		closedir(d);
	if (pipes > 2) /* the loop has one of its own */
		n -= pipes - 2 < 2 * KEPT_PIPES ? pipes - 2 : 2 * KEPT_PIPES;
	add_sockets(path, &h.inodes);
	survey(OPEN_STATES, &(struct survey){count_held, &h});
	vec_fini(&h.inodes);
	return n - h.n;
}
