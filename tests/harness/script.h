/*
 * A host that fails on command: its own process, HTTP/1 or HTTP/2, that
 * answers each request by the first rule of its script that fits, and 200
 * with its name when none does.
 *
 * The script lies in memory that the scene shares with it, so a scene
 * changes it at any time and reads what the host saw without asking it:
 *
 *   unsigned h = scene_scripted(&sc, "one", false);
 *   script_add(&sc, h, (struct rule){.status = 503, .times = 2});
 *   script_add(&sc, h, (struct rule){.path = "/health", .deed = DEED_RESET});
 *   script_listen(&sc, h, LISTEN_REFUSE);
 *   assert_int_equal(script_of(&sc, h)->requests, 2);
 */
#ifndef HARNESS_SCRIPT_H
#define HARNESS_SCRIPT_H

#include <stdatomic.h>

#include "tests/harness/scene.h"

enum deed {
	DEED_ANSWER,        /* status, headers, body */
	DEED_HANG,          /* nothing, ever */
	DEED_CLOSE,         /* FIN */
	DEED_RESET,         /* RST of the connection */
	DEED_REFUSE_STREAM, /* HTTP/2: RST_STREAM REFUSED_STREAM (HTTP/1: as RESET) */
	DEED_CANCEL_STREAM, /* HTTP/2: RST_STREAM (HTTP/1: as RESET) */
	DEED_GOAWAY,        /* HTTP/2: GOAWAY that leaves this request out, then nothing */
	DEED_GARBAGE,       /* bytes that are no HTTP */
};

enum moment {
	AT_END,      /* the request is complete */
	AT_HEADERS,  /* its headers came */
	IN_ANSWER,   /* after the answer's headers and half of its body */
};

struct rule {
	const char *path;    /* requests whose path begins so; NULL: all.  A literal: both processes read it */
	const char *headers; /* "a: b\r\n" lines of the answer.  A literal, too */
	enum deed deed;
	enum moment when;
	unsigned times;      /* how often; 0: always */
	unsigned status;     /* 0: 200 */
	unsigned delay_ms;
	unsigned body;       /* bytes; 0: the host's name, or nothing when `bare` */
	bool bare;           /* no body: headers end the answer (gRPC: trailers only) */
};

enum listening {
	LISTEN_YES,
	LISTEN_REFUSE, /* the port is closed: connections are refused; those there are go on */
	LISTEN_DEAF,   /* SYNs are not answered: connects time out */
};

#define SCRIPT_RULES 64

struct script {
	struct rule rules[SCRIPT_RULES];
	_Atomic unsigned used[SCRIPT_RULES]; /* how often each was played */
	_Atomic unsigned rules_n;
	_Atomic int want, is;                /* enum listening */
	_Atomic unsigned drop, dropped;      /* raised: close every connection; done up to this */
	/* what the host saw */
	_Atomic unsigned connections, open, requests, complete, streams_reset;
	_Atomic unsigned long body_bytes;
	char name[32];
	char last[4096];                     /* head of the latest request, "name: value\n" lines */
};

unsigned scene_scripted(struct scene *sc, const char *name, bool http2);
struct script *script_of(struct scene *sc, unsigned host);
void script_add(struct scene *sc, unsigned host, struct rule rule);
void script_clear(struct scene *sc, unsigned host); /* no rules: 200 to everything */
void script_listen(struct scene *sc, unsigned host, enum listening how);
void script_drop(struct scene *sc, unsigned host);  /* FIN on every connection there is */

#endif
