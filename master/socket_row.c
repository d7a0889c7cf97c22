/* One row of the listening sockets: its address is bound once for each worker, or once for all. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/listen.h"
#include "lib/net/socket.h"
#include "master/sockets_private.h"

#define ALL_FLAGS (LISTEN_REUSE_PORT | LISTEN_IPV4_COMPAT | LISTEN_ADMIN)

/* ---- what was asked for */

int
listen_request_read(const struct listen_request *q, struct address *a, struct socket_options *o,
    struct err *err)
{
	struct str text = q->key;
	const char *hash = memchr(text.p, '#', text.n);

	if (text.n && text.p[0] != '/' && text.p[0] != '@' && hash)
		text.n = (size_t)(hash - text.p);
	if (q->flags & ~(uint64_t)ALL_FLAGS || q->mode > 0777 || q->backlog > INT32_MAX)
		return err_set(err, "options of '" STR_FMT "' are not known", STR_ARG(q->key));
	*o = (struct socket_options){.ipv4_compat = (q->flags & LISTEN_IPV4_COMPAT) != 0,
	    .backlog = (int)q->backlog,
	    .mode = (uint32_t)q->mode};
	return address_parse(a, text, err);
}

bool
listen_request_shares(const struct listen_request *q, const struct address *a)
{
	return !(q->flags & LISTEN_REUSE_PORT) || (q->flags & LISTEN_ADMIN) || address_is_pipe(a);
}

/* ---- its sockets */

/* The first is bound alone, so that a port in use is an error; then the others may join it. */
int
socket_row_open(struct socket_row *row, unsigned workers, struct socket_options *o, struct err *err)
{
	unsigned want = row->shared ? 1 : workers;

	row->at = mem_array(struct one_socket, want);
	for (row->n = 0; row->n < want; row->n++) {
		int fd = socket_bind(&row->address, o, err);

		if (fd < 0)
			return -1;
		row->at[row->n].fd = fd;
		if (row->n == 0) {
			address_local(&row->address, fd); /* port 0 is a port now */
			o->reuse_port = want > 1;
		}
		if ((!row->shared && socket_allow_joining(fd, err) < 0) || socket_listen(fd, o, err) < 0) {
			row->n++; /* to be closed too */
			return -1;
		}
	}
	return 0;
}

/* More workers than sockets: others join them. */
void
socket_row_add(struct socket_row *row, unsigned want)
{
	struct socket_options o = {.reuse_port = true,
	    .ipv4_compat = (row->flags & LISTEN_IPV4_COMPAT) != 0,
	    .backlog = row->backlog};
	struct err err;

	if (row->shared || !row->claimed || row->given_up || want <= row->n)
		return;
	row->at = mem_resize(row->at, want * sizeof(*row->at));
	memset(row->at + row->n, 0, (want - row->n) * sizeof(*row->at));
	while (row->n < want) {
		int fd = socket_bind(&row->address, &o, &err);

		if (fd < 0 || socket_listen(fd, &o, &err) < 0) {
			log_warning(LOG_MASTER, "listener address %s: no more sockets: %s", row->key, err.text);
			if (fd >= 0)
				close(fd);
			return;
		}
		row->at[row->n++].fd = fd;
	}
}

void
socket_row_close(struct socket_row *row)
{
	for (unsigned i = 0; i < row->n; i++)
		close(row->at[i].fd);
	row->n = 0;
	MEM_CLEAR(row->at);
}

void
socket_row_free(struct socket_row *row, bool unlink_path)
{
	for (unsigned i = 0; i < row->n; i++) {
		close(row->at[i].fd);
		unlink_path &= !row->at[i].handed;
	}
	unlink_path &= !row->foreign;
	if (unlink_path && address_is_pipe(&row->address) && row->address.un.sun_path[0])
		unlink(row->address.un.sun_path);
	mem_free(row->at);
	mem_free(row->key);
	mem_free(row);
}

/* Two descriptors of one socket: a lent one may come from its owner and from its neighbour. */
bool
socket_row_has(const struct socket_row *row, int fd)
{
	struct stat a, b;

	if (fstat(fd, &a) < 0)
		return false;
	for (unsigned i = 0; i < row->n; i++)
		if (fstat(row->at[i].fd, &b) == 0 && a.st_ino == b.st_ino)
			return true;
	return false;
}
