/*
 * What the files of the listening sockets share: sockets.c (rows as admin
 * asks for them), socket_row.c (one row), sockets_sharing.c (who accepts
 * from what) and sockets_inherited.c (sockets that others opened).
 */
#ifndef MASTER_SOCKETS_PRIVATE_H
#define MASTER_SOCKETS_PRIVATE_H

#include "lib/base/vec.h"
#include "lib/net/address.h"
#include "master/sockets.h"

struct socket_options;

struct one_socket {
	int fd;
	unsigned lent_to; /* worker; 0: nobody */
	bool handed;	  /* a service manager listens on it too */
};

/* From a service manager, not asked for yet. */
struct handed_socket {
	int fd;
	char *name;
	struct address address;
};

struct socket_row {
	char *key;
	struct address address;
	uint64_t flags;
	bool shared;  /* one socket for all workers */
	bool asked;   /* by the admin that is here */
	int backlog;
	uint32_t mode; /* of a Unix socket's file */
	bool claimed; /* admin asked for it; else it was only inherited */
	bool foreign; /* inherited, and we do not serve yet: its path is another's */
	bool given_up; /* the heir does not listen there: opened again if we are to serve again */
	unsigned n;
	struct one_socket *at;
};

enum presence {
	AWAY,   /* no process, or one that cannot take sockets yet */
	SILENT, /* has its sockets, does not accept */
	HERE,
};

struct sockets {
	unsigned workers;
	enum presence *worker; /* 1..workers */
	VEC(struct socket_row *) rows;
	VEC(struct handed_socket) handed;
	const struct sockets_events *events;
	void *arg;
	bool stopped;
};

/* ---- socket_row.c */

/* Address and options of what admin asked for; -1 when they are none. */
int listen_request_read(const struct listen_request *q, struct address *a, struct socket_options *o,
    struct err *err);
/* One socket is for all workers. */
bool listen_request_shares(const struct listen_request *q, const struct address *a);
/* Binds as many as are wanted; on failure some may be open. */
int socket_row_open(
    struct socket_row *row, unsigned workers, struct socket_options *o, struct err *err);
void socket_row_add(struct socket_row *row, unsigned want);
void socket_row_close(struct socket_row *row);
bool socket_row_has(const struct socket_row *row, int fd); /* or a copy of it */
void socket_row_free(struct socket_row *row, bool unlink_path);

/* ---- sockets.c */

struct socket_row *sockets_find(struct sockets *s, struct str key, size_t *at);

/* ---- sockets_sharing.c */

/* To every worker that is here. */
void sockets_announce(struct sockets *s, struct socket_row *row);
void sockets_take_back(struct sockets *s, struct socket_row *row);

/* ---- sockets_inherited.c */

bool sockets_take_handed(
    struct sockets *s, struct socket_row *row, const struct socket_options *o);
void sockets_drop_one_handed(struct sockets *s, size_t at);
int sockets_open_again(struct sockets *s, struct socket_row *row, struct err *err);

#endif
