/*
 * What is said on the control socket (<runtime dir>/<base id>/control.sock,
 * SOCK_SEQPACKET): one request, one answer, end.
 *
 * Packets are frames: type (2 bytes), reserved (2), length (4), value.
 * Unknown types are skipped.  A request is WORD frames (command first)
 * and JSON when that is wanted; an answer is STATUS in its first packet
 * and TEXT in as many packets as it takes; its end is the end of the
 * connection.
 */
#ifndef IPC_CONTROL_H
#define IPC_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

#define CONTROL_PACKET 65536
#define CONTROL_WORDS 8

enum control_command {
#define COMMAND(id, name, least, most, who, arguments, text) CONTROL_##id,
#include "lib/ipc/control.def"
#undef COMMAND
	CONTROL_COMMANDS,
};

/* What a command ends with; also batonctl's exit status. */
enum control_status {
	CONTROL_OK = 0,
	CONTROL_UNREACHABLE = 1,
	CONTROL_USAGE = 2,
	CONTROL_REFUSED = 3,
};

struct control_row {
	const char *name;
	unsigned least, most; /* words after the command */
	bool for_admin;
	const char *arguments, *text;
};

extern const struct control_row control_rows[CONTROL_COMMANDS];

struct control_request {
	bool json;
	unsigned n; /* words, command included */
	struct str words[CONTROL_WORDS]; /* borrowed from the packet */
};

void control_request_write(struct strb *out, const struct control_request *r);
int control_request_read(struct control_request *r, struct str packet, struct err *err);
/* The row of a request and a check of its words; -1 with a usage text. */
int control_find(const struct control_request *r, enum control_command *out, struct err *err);

/* Sends the whole answer and gives whether it went; fd stays the caller's. */
bool control_answer(int fd, unsigned status, struct str text);
/* One packet of an answer: adds TEXT to *text, sets *status when it is there. */
void control_answer_read(struct str packet, unsigned *status, struct strb *text);

/* Whether the process behind fd is of our user or root; errno EPERM when not. */
bool control_is_allowed(int fd);

#endif
