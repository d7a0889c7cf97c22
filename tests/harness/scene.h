/*
 * A scene: real baton processes, real sockets, hosts that behave as told.
 *
 * Programs come from $B (build/san).  Every scene has its own directory
 * for runtime files, configuration and logs; listeners and the admin port
 * are opened on port 0 and asked for their port, so scenes can run side
 * by side.  Waiting is for a condition, with one generous limit
 * (SCENE_PATIENCE_MS), never for a time.
 *
 * In configurations, @HOST0@ … @HOST9@ stand for the ports of the scene's
 * hosts, @DIR@ for its directory.
 */
#ifndef HARNESS_SCENE_H
#define HARNESS_SCENE_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/str.h"

#define SCENE_PATIENCE_MS 20000
#define SCENE_HOSTS 10

struct scene {
	char dir[64];          /* /tmp/baton-test-XXXXXX */
	pid_t proxy;           /* master; 0 when not running */
	uint16_t admin_port;
	uint16_t port;         /* of the first listener */
	uint16_t host_port[SCENE_HOSTS];
	pid_t host_pid[SCENE_HOSTS];
	unsigned hosts;
	char *log;             /* path of stderr and stdout of the proxy */
	const char *extra[16]; /* more options, NULL ends */
	const char *wrap[8];   /* a program that runs baton with its other arguments, NULL ends */
	bool started;
};

void scene_init(struct scene *sc);
void scene_fini(struct scene *sc); /* ends every process by its pid, removes the directory */

/* ---- hosts: upstreams.  Give their index. */
/* tools/origin under this name: behaves as the URL asks. */
unsigned scene_origin(struct scene *sc, const char *name);
/* A child that runs serve(fd, n, arg) for its nth connection (from 0), one after another. */
unsigned scene_host(struct scene *sc, void (*serve)(int fd, unsigned n, void *arg), void *arg);
/* `env PROGRAM SCRIPT ARG`, which prints "listening PORT PORT": two hosts, one process. */
void scene_two_ports(struct scene *sc, const char *program, const char *script, const char *arg);
void scene_host_stop(struct scene *sc, unsigned host);
/* A port of 127.0.0.1 that refuses connections as long as the descriptor given back is open. */
int scene_refusing_port(uint16_t *port);

/* ---- the proxy */
/* Writes the configuration to DIR/baton.yaml, starts baton and waits until it serves. */
void scene_proxy(struct scene *sc, const char *yaml);
/* The two halves: until its admin port answers, until it is LIVE. */
void scene_proxy_begin(struct scene *sc, const char *yaml);
void scene_find_ports(struct scene *sc); /* of the proxy that was started; waits until it serves */
void scene_write_config(struct scene *sc, const char *yaml);
/* Starts baton with these arguments (NULL ends) in the scene's runtime directory and waits for its
 * end; gives the exit status, output in *out (caller frees). */
int scene_run(struct scene *sc, char **out, ...) __attribute__((sentinel));
int scene_run_tool(struct scene *sc, char **out, const char *program, ...) __attribute__((sentinel));
/* Waits until master is gone; gives its exit status, or -signal. */
int scene_wait_exit(struct scene *sc);
pid_t scene_child(struct scene *sc, const char *title); /* pid of "admin", "worker 1"; 0 = none */
pid_t scene_wait_child(struct scene *sc, const char *title, pid_t not_this);
unsigned scene_descriptors(pid_t pid); /* entries of /proc/PID/fd, to be compared */
char *scene_log(struct scene *sc); /* what the proxy wrote so far; caller frees */
void scene_wait_log(struct scene *sc, const char *text);
char *scene_file(struct scene *sc, const char *name); /* of the scene's directory; caller frees */
bool scene_file_has(struct scene *sc, const char *name, const char *text);

/* One HTTP/1.1 request on a connection of its own. */
struct reply {
	int status;   /* 0: the connection ended without an answer */
	char *head;   /* status line and headers, lower-case names */
	char *body;
	size_t body_len;
	bool complete, closed; /* closed: the server closed after it */
};
void reply_free(struct reply *r);
struct reply scene_get(struct scene *sc, const char *path);
/* method, path, extra header lines ("a: b\r\n" or ""), body (may be NULL). */
struct reply scene_request(struct scene *sc, uint16_t port, const char *method, const char *path,
    const char *headers, const char *body);
struct reply scene_admin(struct scene *sc, const char *method, const char *path);
int scene_status(struct scene *sc, const char *path); /* of a GET */
int scene_admin_status(struct scene *sc, const char *method, const char *path);
const char *reply_header(const struct reply *r, const char *name); /* value or NULL; a static copy */

/* Does /clusters say this of the host, a member of cluster `api`: "healthy", "/failed_active_hc" …? */
bool scene_host_is(struct scene *sc, unsigned host, const char *flags);

/* ---- a raw client connection */
int client_connect(uint16_t port);
void client_send(int fd, const char *bytes);
void client_send_n(int fd, const void *bytes, size_t n);
void client_get(int fd, const char *path); /* asks; the answer is read by client_reply() */
/* Reads one response (head: to a HEAD request). */
struct reply client_reply(int fd, bool head);
bool client_closed(int fd); /* waits for EOF or reset; false when bytes came instead */

/* ---- numbers */
int64_t scene_stat(struct scene *sc, const char *name); /* from /stats; -1 when there is none */
void scene_wait_stat(struct scene *sc, const char *name, int64_t at_least);
void assert_stat_(struct scene *sc, const char *name, int64_t want, const char *file, int line);
#define assert_stat(sc, name, want) assert_stat_((sc), (name), (want), __FILE__, __LINE__)

/* Runs `expr` again and again until it is true; fails with its text after SCENE_PATIENCE_MS. */
#define WAIT_FOR(expr)                                                                             \
	do {                                                                                       \
		uint64_t wait_until_ = scene_now_ms() + SCENE_PATIENCE_MS;                         \
		while (!(expr)) {                                                                  \
			if (scene_now_ms() > wait_until_)                                          \
				fail_msg("waited in vain for: %s", #expr);                         \
			scene_pause();                                                             \
		}                                                                                  \
	} while (0)
uint64_t scene_now_ms(void);
void scene_pause(void); /* a few milliseconds, between two looks at a condition */

const char *scene_program(const char *name); /* $B/name */

#endif
