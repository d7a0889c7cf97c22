#include "master/sockets.h"

#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/listen.h"
#include "lib/net/socket.h"
#include "master/sockets_private.h"

struct sockets *
sockets_new(unsigned workers, const struct sockets_events *events, void *arg)
{
	struct sockets *s = mem_new(struct sockets);

	s->workers = workers;
	s->worker = mem_array(enum presence, workers + 1);
	s->events = events;
	s->arg = arg;
	return s;
}

void
sockets_free(struct sockets **sp, bool unlink_paths)
{
	struct sockets *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->rows.len; i++)
		socket_row_free(s->rows.at[i], unlink_paths);
	vec_fini(&s->rows);
	while (s->handed.len)
		sockets_drop_one_handed(s, 0);
	vec_fini(&s->handed);
	mem_free(s->worker);
	mem_free(s);
}

/* ---- opening */

struct socket_row *
sockets_find(struct sockets *s, struct str key, size_t *at)
{
	for (size_t i = 0; i < s->rows.len; i++) {
		if (str_eqz(key, s->rows.at[i]->key)) {
			*at = i;
			return s->rows.at[i];
		}
	}
	return NULL;
}

static void
format_bound(const struct socket_row *row, struct strb *bound)
{
	char text[ADDRESS_TEXT];

	address_format(&row->address, text);
	strb_addz(bound, text);
}

/* An inherited row is wanted by this generation too. */
static void
claim(struct sockets *s, struct socket_row *row, const struct listen_request *q)
{
	struct socket_options o = {.backlog = (int)q->backlog};

	if (row->claimed)
		return;
	row->claimed = true;
	for (unsigned i = 0; i < row->n; i++)
		socket_listen(row->at[i].fd, &o, NULL); /* the backlog of this configuration */
	row->backlog = (int)q->backlog;
	row->mode = (uint32_t)q->mode;
	if (!s->stopped)
		socket_row_add(row, s->workers);
	sockets_announce(s, row);
}

int
sockets_listen(
    struct sockets *s, const struct listen_request *q, struct strb *bound, struct err *err)
{
	struct socket_options o;
	struct socket_row *row;
	size_t at;

	row = sockets_find(s, q->key, &at);
	if (row) {
		row->asked = true;
		if (row->n == 0 && !row->given_up && sockets_open_again(s, row, err) < 0)
			return -1;
		if (row->flags != q->flags)
			log_warning(LOG_MASTER,
			    "listener address %s: changed options apply when it is next opened", row->key);
		format_bound(row, bound);
		claim(s, row, q);
		return 0;
	}
	row = mem_new(struct socket_row);
	if (listen_request_read(q, &row->address, &o, err) < 0) {
		mem_free(row);
		return -1;
	}
	row->key = str_dupz(q->key);
	row->flags = q->flags;
	row->asked = true;
	row->backlog = (int)q->backlog;
	row->mode = (uint32_t)q->mode;
	row->claimed = true;
	row->shared = listen_request_shares(q, &row->address);
	if (!sockets_take_handed(s, row, &o) && socket_row_open(row, s->workers, &o, err) < 0) {
		socket_row_free(row, false);
		return -1;
	}
	*vec_push(&s->rows) = row;
	format_bound(row, bound);
	sockets_announce(s, row);
	return 0;
}

/* ---- closing */

static void
drop_row(struct sockets *s, size_t at)
{
	struct socket_row *row = s->rows.at[at];

	vec_remove(&s->rows, at);
	if (!(row->flags & LISTEN_ADMIN) && !s->stopped)
		sockets_take_back(s, row);
	socket_row_free(row, true);
}

void
sockets_unlisten(struct sockets *s, struct str key)
{
	size_t at;

	if (sockets_find(s, key, &at))
		drop_row(s, at);
}

void
sockets_admin_came(struct sockets *s)
{
	for (size_t i = 0; i < s->rows.len; i++)
		s->rows.at[i]->asked = false;
}

void
sockets_drop_unasked(struct sockets *s)
{
	for (size_t i = s->rows.len; i-- > 0;)
		if (!s->rows.at[i]->asked)
			drop_row(s, i);
}

bool
sockets_each(const struct sockets *s, size_t n, struct socket_at *out)
{
	for (size_t i = 0; i < s->rows.len; i++) {
		const struct socket_row *row = s->rows.at[i];

		if (n < row->n) {
			*out = (struct socket_at){str_of(row->key),
			    row->flags | (row->at[n].handed ? LISTEN_HANDED : 0), (unsigned)n,
			    row->at[n].fd};
			return true;
		}
		n -= row->n;
	}
	return false;
}

size_t
sockets_rows(const struct sockets *s)
{
	return s->rows.len;
}
