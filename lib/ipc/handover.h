/*
 * Packets of the hand-over between two generations, over the control
 * socket's kind of connection (SOCK_SEQPACKET).  Words and fields:
 * handover.def.  Unknown words and fields are skipped, both sides say
 * what they speak: a partner may be older or newer.
 */
#ifndef IPC_HANDOVER_H
#define IPC_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/str.h"

#define HANDOVER_VERSION "1.0"
#define HANDOVER_PACKET 65536

enum handover_word {
#define WORD(number, name, who, text) HANDOVER_##name = number,
#include "lib/ipc/handover.def"
#undef WORD
};

enum handover_field {
#define FIELD(number, name, kind, text) FIELD_##name = number,
#include "lib/ipc/handover.def"
#undef FIELD
};

#define HANDOVER_FIRST_FIELD 64
#define HANDOVER_FIELDS 64

struct handover_packet {
	unsigned word;			   /* enum handover_word, or one we do not know; 0: none */
	int fd;				   /* -1: none; the reader's to take or close */
	struct str field[HANDOVER_FIELDS]; /* borrowed; p is NULL when it did not come */
};

/* ---- writing */
void handover_begin(struct strb *out, enum handover_word word);
void handover_put_u(struct strb *out, enum handover_field f, uint64_t v);
void handover_put_s(struct strb *out, enum handover_field f, struct str s);
/* 1 sent, 0 would block, -1 the other side is gone.  Borrows fd (-1: none). */
int handover_send(int sock, const struct strb *packet, int fd);

/* ---- reading */
/* Bytes put into room, 0 at the end, -1 nothing now (or, with a receive timeout, none in time).
 * A descriptor that comes along is p->fd; a packet that makes no sense has word 0. */
ssize_t handover_receive(int sock, char *room, size_t n, struct handover_packet *p);
void handover_parse(struct handover_packet *p, struct str packet);
uint64_t handover_u(const struct handover_packet *p, enum handover_field f);   /* 0 when missing */
struct str handover_s(const struct handover_packet *p, enum handover_field f); /* "" when missing */

#endif
