/*
 * Who accepts from what: each socket is its owner's when that is here,
 * else it is lent to a neighbour.
 */
#include "lib/ipc/listen.h"
#include "master/sockets_private.h"

/* Sockets of a generation with more workers than this one are shared out among those there are. */
static unsigned
owner_of(const struct sockets *s, unsigned index)
{
	return index % s->workers + 1;
}

/* The next worker after `index` that is here; 0 when there is none. */
static unsigned
neighbour(const struct sockets *s, unsigned index)
{
	for (unsigned k = 1; k < s->workers; k++) {
		unsigned w = (index - 1 + k) % s->workers + 1;

		if (s->worker[w] == HERE)
			return w;
	}
	return 0;
}

static void
give(struct sockets *s, struct socket_row *row, unsigned index, unsigned to, bool lent)
{
	const struct one_socket *one = &row->at[index];
	struct socket_at at = {
	    str_of(row->key), row->flags | (one->handed ? LISTEN_HANDED : 0), index, one->fd};

	s->events->give(s->arg, to, &at, lent);
}

static void
lend(struct sockets *s, struct socket_row *row, unsigned index, unsigned to)
{
	struct one_socket *one = &row->at[index];

	if (one->lent_to == to)
		return;
	if (one->lent_to && s->worker[one->lent_to] != AWAY)
		s->events->take_back(s->arg, one->lent_to, str_of(row->key), index);
	one->lent_to = to;
	if (to)
		give(s, row, index, to, true);
}

/* Each socket is with its owner when that is here, else with a neighbour. */
static void
settle_row(struct sockets *s, struct socket_row *row)
{
	if (row->shared || s->stopped || !row->claimed)
		return;
	for (unsigned i = 0; i < row->n; i++) {
		unsigned owner = owner_of(s, i), to = row->at[i].lent_to;

		unsigned next = neighbour(s, owner);

		if (s->worker[owner] == HERE)
			lend(s, row, i, 0);
		else if ((to == 0 || s->worker[to] != HERE) && (next || s->worker[to] == AWAY))
			lend(s, row, i, next);
	}
}

static void
settle(struct sockets *s)
{
	for (size_t i = 0; i < s->rows.len; i++)
		settle_row(s, s->rows.at[i]);
}

static void
give_own(struct sockets *s, struct socket_row *row, unsigned worker)
{
	if ((row->flags & LISTEN_ADMIN) || s->stopped || !row->claimed)
		return;
	for (unsigned i = 0; i < row->n; i++)
		if (row->shared || owner_of(s, i) == worker)
			give(s, row, i, worker, false);
}

void
sockets_announce(struct sockets *s, struct socket_row *row)
{
	for (unsigned w = 1; w <= s->workers; w++)
		if (s->worker[w] != AWAY)
			give_own(s, row, w);
	settle_row(s, row);
}

/* Whoever has it or was lent it; a worker that closed it already does nothing. */
void
sockets_take_back(struct sockets *s, struct socket_row *row)
{
	for (unsigned i = 0; i < row->n; i++) {
		unsigned lent_to = row->at[i].lent_to;

		if (lent_to && s->worker[lent_to] != AWAY)
			s->events->take_back(s->arg, lent_to, str_of(row->key), i);
	}
	for (unsigned w = 1; w <= s->workers; w++)
		for (unsigned i = 0; i < row->n && s->worker[w] != AWAY; i++)
			if (row->shared || owner_of(s, i) == w)
				s->events->take_back(s->arg, w, str_of(row->key), i);
}

void
sockets_give_admin(struct sockets *s, struct str key)
{
	size_t at;
	struct socket_row *row = sockets_find(s, key, &at);

	if (row && (row->flags & LISTEN_ADMIN) && row->claimed && row->n && !s->stopped)
		give(s, row, 0, 0, false);
}

/* ---- workers */

void
sockets_worker_came(struct sockets *s, unsigned worker)
{
	s->worker[worker] = HERE;
	for (size_t i = 0; i < s->rows.len; i++)
		give_own(s, s->rows.at[i], worker);
	settle(s);
}

void
sockets_worker_ended(struct sockets *s, unsigned worker)
{
	s->worker[worker] = AWAY;
	settle(s);
}

void
sockets_worker_silent(struct sockets *s, unsigned worker)
{
	if (s->worker[worker] != HERE)
		return;
	s->worker[worker] = SILENT;
	settle(s);
}

void
sockets_worker_awake(struct sockets *s, unsigned worker)
{
	if (s->worker[worker] != SILENT)
		return;
	s->worker[worker] = HERE;
	settle(s);
}

/* ---- the generation */

void
sockets_stop(struct sockets *s)
{
	s->stopped = true;
}

void
sockets_go(struct sockets *s)
{
	for (size_t i = 0; i < s->rows.len; i++)
		s->rows.at[i]->foreign = false;
	if (!s->stopped)
		return;
	s->stopped = false;
	for (size_t i = 0; i < s->rows.len; i++)
		socket_row_add(s->rows.at[i], s->workers);
	for (unsigned w = 1; w <= s->workers; w++)
		for (size_t i = 0; i < s->rows.len && s->worker[w] != AWAY; i++)
			give_own(s, s->rows.at[i], w);
	settle(s);
	for (size_t i = 0; i < s->rows.len; i++)
		sockets_give_admin(s, str_of(s->rows.at[i]->key));
}
