/*
 * What master knows of a child, and what a child is told when it is
 * forked.  master/main.c names the two constants admin_process and
 * worker_process; that is the one link between the three folders.
 */
#ifndef IPC_PROCESS_H
#define IPC_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/log.h"
#include "lib/ipc/drain_order.h"

enum role {
	ROLE_MASTER,
	ROLE_ADMIN,
	ROLE_WORKER,
};

enum run_mode {
	MODE_SERVE,
	MODE_VALIDATE,  /* check the configuration, print, exit */
	MODE_INIT_ONLY, /* everything up to serving, then exit 0 */
	MODE_PRINT,     /* --print-config */
};

/*
 * The command line, after parsing: one immutable struct, shared by fork.
 * Strings are NULL when not given.  Defaults are Envoy's where Envoy has
 * the option (docs/compat.md lists the differences).
 */
struct settings {
	const char *config_path, *config_yaml;
	enum run_mode mode;
	uint32_t concurrency; /* number of workers, ≥ 1 */
	uint32_t base_id, restart_epoch;
	uint32_t drain_time_s, parent_shutdown_time_s;
	uint32_t drain_deadline_s[DRAIN_KINDS]; /* parent_shutdown_time_s unless given */
	bool drain_immediate;
	const char *service_node, *service_cluster, *service_zone;
	const char *log_path, *log_format;
	const char *admin_address_path;
	uint32_t file_flush_interval_ms;
	bool allow_unknown_static_fields;
	bool hot_restart_disabled;
	const char *runtime_dir, *pid_file, *user;
	uint32_t watchdog_s, shutdown_deadline_s, shutdown_health_wait_s;
	uint32_t init_timeout_s; /* a hot restart is ready within this, or comes to nothing */
	uint32_t max_draining;   /* generations that may drain at once */
	bool healthy_after_restart;
	const char *hot_restart_version; /* "disabled" or the protocol's version */
	/* The command line as options and values, for /server_info: name, value, name, value, NULL. */
	const char *const *given;
};

/*
 * What a freshly forked child gets.  The descriptors are its own and the only ones it has beside
 * standard input, output, error and the log; randomness, signals, title and privileges are set.
 * The segment is mapped (segment_own()) and the seat is taken; in modes that do not serve there is
 * neither.
 */
struct process_start {
	const struct settings *settings;
	enum role role;
	unsigned seat;      /* its lane in the segment: 0 master, 1 admin, 2.. workers */
	unsigned index;     /* workers: 1 .. concurrency */
	unsigned epoch;
	int channel_fd;     /* to master, SEQPACKET */
	int segment_fd;     /* the generation's segment */
	int journal_fd;     /* accepted configuration so far; -1 when none yet */
	uint64_t journal_use; /* bytes of it that are in force; 0 when none */
	int elder_journal_fd; /* admin, until ours serves: what is in force in the elder; -1 */
	uint64_t elder_journal_use;
	int control_fd;     /* control socket's listening descriptor, for orphans; -1 in tests */
	uint64_t elder_generation; /* the one that hands over to ours: verdicts on hosts are its; 0: none */
};

struct process {
	const char *name; /* "admin", "worker": for the log and the process title */
	/* Runs until told to stop; the value is the exit status. */
	int (*run)(const struct process_start *start);
};

/* "baton: worker 1" in ps; call process_title_init(argc, argv) first thing in main. */
void process_title_init(int argc, char **argv);
void process_title(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
