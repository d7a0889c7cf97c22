/* Sockets that others opened: a service manager, another generation. */
#include <fcntl.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/listen.h"
#include "lib/net/socket.h"
#include "master/sockets_private.h"

/* ---- from a service manager */

void
sockets_drop_one_handed(struct sockets *s, size_t at)
{
	close(s->handed.at[at].fd);
	mem_free(s->handed.at[at].name);
	vec_remove(&s->handed, at);
}

int
sockets_hand(struct sockets *s, int fd, struct str name, struct err *err)
{
	struct address a;

	address_local(&a, fd);
	if (a.len == 0)
		return err_set(err, "not a socket");
	*vec_push(&s->handed) = (struct handed_socket){fd, str_dupz(name), a};
	return 0;
}

/* Takes those of this address that a service manager handed over; others join them, if the kernel
 * lets them (it wants the same user), else all workers share. */
bool
sockets_take_handed(struct sockets *s, struct socket_row *row, const struct socket_options *o)
{
	struct err err;

	for (size_t i = 0; i < s->handed.len;) {
		const struct handed_socket *h = &s->handed.at[i];

		if (!address_eq(&h->address, &row->address)) {
			i++;
			continue;
		}
		log_info(LOG_MASTER, "listener address %s: socket '%s' of the service manager", row->key, h->name);
		row->at = mem_resize(row->at, (row->n + 1) * sizeof(*row->at));
		row->at[row->n++] = (struct one_socket){.fd = h->fd, .handed = true};
		if (o->backlog)
			socket_listen(h->fd, o, NULL);
		if (!row->shared && socket_allow_joining(h->fd, &err) < 0)
			log_warning(LOG_MASTER, "listener address %s: %s", row->key, err.text);
		mem_free(h->name);
		vec_remove(&s->handed, i);
	}
	if (row->n == 0)
		return false;
	socket_row_add(row, s->workers);
	if (row->n < s->workers && !row->shared) {
		row->shared = true;
		row->flags &= ~(uint64_t)LISTEN_REUSE_PORT;
	}
	return true;
}

static bool
has_address(const struct sockets *s, const struct address *a)
{
	for (size_t i = 0; i < s->rows.len; i++)
		if (address_eq(&s->rows.at[i]->address, a))
			return true;
	return false;
}

/* An address that came from another generation too is no surprise: it is the same socket. */
void
sockets_drop_handed(struct sockets *s)
{
	while (s->handed.len) {
		const struct handed_socket *h = &s->handed.at[0];
		char text[ADDRESS_TEXT];

		address_format(&h->address, text);
		if (!has_address(s, &h->address))
			log_warning(LOG_MASTER, "LISTEN_FDS: socket '%s' at %s: no listener has this address, closed",
			    h->name, text);
		sockets_drop_one_handed(s, 0);
	}
}

/* ---- from one generation to the next */

int
sockets_inherit(struct sockets *s, struct str key, uint64_t flags, int fd, struct err *err)
{
	size_t at;
	struct socket_row *row = sockets_find(s, key, &at);
	struct listen_request q = {.key = key, .flags = flags & ~(uint64_t)LISTEN_HANDED};
	struct socket_options o;
	struct address a;

	if (listen_request_read(&q, &a, &o, err) < 0)
		return -1;
	address_local(&a, fd);
	if (a.len == 0)
		return err_set(err, "'" STR_FMT "': not a socket", STR_ARG(key));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); /* no worker ever waits in accept */
	if (row == NULL) {
		row = mem_new(struct socket_row);
		row->key = str_dupz(key);
		row->flags = q.flags;
		row->foreign = true;
		row->address = a;
		row->shared = listen_request_shares(&q, &a);
		*vec_push(&s->rows) = row;
	}
	if (socket_row_has(row, fd)) { /* every orphan has a copy of a shared one */
		close(fd);
		return 0;
	}
	if (row->n && row->shared && !(flags & LISTEN_HANDED)) /* a service manager may have several */
		return err_set(err, "'" STR_FMT "': has its socket already", STR_ARG(key));
	row->at = mem_resize(row->at, (row->n + 1) * sizeof(*row->at));
	row->at[row->n++] = (struct one_socket){.fd = fd, .handed = (flags & LISTEN_HANDED) != 0};
	return 0;
}

struct str
sockets_forget_unclaimed(struct sockets *s, struct strb *key)
{
	strb_reset(key);
	for (size_t i = 0; i < s->rows.len; i++) {
		struct socket_row *row = s->rows.at[i];

		if (row->claimed)
			continue;
		strb_addz(key, row->key);
		vec_remove(&s->rows, i);
		socket_row_free(row, false);
		break;
	}
	return strb_str(key);
}

/* One whose sockets were given up. */
int
sockets_open_again(struct sockets *s, struct socket_row *row, struct err *err)
{
	struct socket_options o = {.ipv4_compat = (row->flags & LISTEN_IPV4_COMPAT) != 0,
	    .backlog = row->backlog,
	    .mode = row->mode};

	row->given_up = false;
	if (socket_row_open(row, s->workers, &o, err) < 0) {
		socket_row_close(row);
		return -1;
	}
	sockets_announce(s, row); /* while we rest: sockets_go() does it */
	sockets_give_admin(s, str_of(row->key));
	return 0;
}

void
sockets_disown(struct sockets *s)
{
	for (size_t i = s->rows.len; i-- > 0;) {
		struct socket_row *row = s->rows.at[i];

		vec_remove(&s->rows, i);
		if (!(row->flags & LISTEN_ADMIN))
			sockets_take_back(s, row);
		socket_row_free(row, false);
	}
}

void
sockets_give_up(struct sockets *s, struct str key)
{
	size_t at;
	struct socket_row *row = sockets_find(s, key, &at);

	if (row == NULL)
		return;
	if (!(row->flags & LISTEN_ADMIN))
		sockets_take_back(s, row);
	socket_row_close(row);
	row->given_up = true;
}

void
sockets_reopen(struct sockets *s)
{
	for (size_t i = 0; i < s->rows.len; i++) {
		struct socket_row *row = s->rows.at[i];
		struct err err;

		if (row->given_up && sockets_open_again(s, row, &err) < 0)
			log_error(LOG_MASTER, "listener address %s: cannot be opened again: %s", row->key,
			    err.text);
	}
}
