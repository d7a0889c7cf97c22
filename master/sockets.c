#include "master/sockets.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/ipc/listen.h"
#include "lib/net/address.h"
#include "lib/net/socket.h"

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

#define ALL_FLAGS (LISTEN_REUSE_PORT | LISTEN_IPV4_COMPAT | LISTEN_ADMIN)

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

static void
row_free(struct socket_row *row, bool unlink_path)
{
	for (unsigned i = 0; i < row->n; i++) {
		close(row->at[i].fd);
		unlink_path &= !row->at[i].handed;
	}
	if (unlink_path && address_is_pipe(&row->address) && row->address.un.sun_path[0])
		unlink(row->address.un.sun_path);
	mem_free(row->at);
	mem_free(row->key);
	mem_free(row);
}

static void
drop_handed(struct sockets *s, size_t at)
{
	close(s->handed.at[at].fd);
	mem_free(s->handed.at[at].name);
	vec_remove(&s->handed, at);
}

void
sockets_free(struct sockets **sp, bool unlink_paths)
{
	struct sockets *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->rows.len; i++)
		row_free(s->rows.at[i], unlink_paths);
	vec_fini(&s->rows);
	while (s->handed.len)
		drop_handed(s, 0);
	vec_fini(&s->handed);
	mem_free(s->worker);
	mem_free(s);
}

/* ---- who accepts from what */

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

void
sockets_stop(struct sockets *s)
{
	s->stopped = true;
}

/* More workers than sockets: others join them. */
static void
add_sockets(struct socket_row *row, unsigned want)
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
sockets_go(struct sockets *s)
{
	if (!s->stopped)
		return;
	s->stopped = false;
	for (size_t i = 0; i < s->rows.len; i++)
		add_sockets(s->rows.at[i], s->workers);
	for (unsigned w = 1; w <= s->workers; w++)
		for (size_t i = 0; i < s->rows.len && s->worker[w] != AWAY; i++)
			give_own(s, s->rows.at[i], w);
	settle(s);
	for (size_t i = 0; i < s->rows.len; i++)
		sockets_give_admin(s, str_of(s->rows.at[i]->key));
}

/* ---- opening */

static struct socket_row *
find_row(struct sockets *s, struct str key, size_t *at)
{
	for (size_t i = 0; i < s->rows.len; i++) {
		if (str_eqz(key, s->rows.at[i]->key)) {
			*at = i;
			return s->rows.at[i];
		}
	}
	return NULL;
}

static int
read_request(const struct listen_request *q, struct address *a, struct socket_options *o,
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

static bool
shares_one(const struct listen_request *q, const struct address *a)
{
	return !(q->flags & LISTEN_REUSE_PORT) || (q->flags & LISTEN_ADMIN) || address_is_pipe(a);
}

/* The first is bound alone, so that a port in use is an error; then the others may join it. */
static int
open_sockets(struct socket_row *row, unsigned workers, struct socket_options *o, struct err *err)
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

/* Takes those of this address that a service manager handed over; others join them, if the kernel
 * lets them (it wants the same user), else all workers share. */
static bool
take_handed(struct sockets *s, struct socket_row *row, const struct socket_options *o)
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
	add_sockets(row, s->workers);
	if (row->n < s->workers && !row->shared) {
		row->shared = true;
		row->flags &= ~(uint64_t)LISTEN_REUSE_PORT;
	}
	return true;
}

static void
close_all(struct socket_row *row)
{
	for (unsigned i = 0; i < row->n; i++)
		close(row->at[i].fd);
	row->n = 0;
	MEM_CLEAR(row->at);
}

static void
announce(struct sockets *s, struct socket_row *row)
{
	for (unsigned w = 1; w <= s->workers; w++)
		if (s->worker[w] != AWAY)
			give_own(s, row, w);
	settle_row(s, row);
}

static void
format_bound(const struct socket_row *row, struct strb *bound)
{
	char text[ADDRESS_TEXT];

	address_format(&row->address, text);
	strb_addz(bound, text);
}

/* One whose sockets were given up. */
static int
open_again(struct sockets *s, struct socket_row *row, struct err *err)
{
	struct socket_options o = {.ipv4_compat = (row->flags & LISTEN_IPV4_COMPAT) != 0,
	    .backlog = row->backlog,
	    .mode = row->mode};

	row->given_up = false;
	if (open_sockets(row, s->workers, &o, err) < 0) {
		close_all(row);
		return -1;
	}
	announce(s, row); /* while we rest: sockets_go() does it */
	sockets_give_admin(s, str_of(row->key));
	return 0;
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
		add_sockets(row, s->workers);
	announce(s, row);
}

int
sockets_listen(
    struct sockets *s, const struct listen_request *q, struct strb *bound, struct err *err)
{
	struct socket_options o;
	struct socket_row *row;
	size_t at;

	row = find_row(s, q->key, &at);
	if (row) {
		row->asked = true;
		if (row->n == 0 && !row->given_up && open_again(s, row, err) < 0)
			return -1;
		if (row->flags != q->flags)
			log_warning(LOG_MASTER,
			    "listener address %s: changed options apply when it is next opened", row->key);
		format_bound(row, bound);
		claim(s, row, q);
		return 0;
	}
	row = mem_new(struct socket_row);
	if (read_request(q, &row->address, &o, err) < 0) {
		mem_free(row);
		return -1;
	}
	row->key = str_dupz(q->key);
	row->flags = q->flags;
	row->asked = true;
	row->backlog = (int)q->backlog;
	row->mode = (uint32_t)q->mode;
	row->claimed = true;
	row->shared = shares_one(q, &row->address);
	if (!take_handed(s, row, &o) && open_sockets(row, s->workers, &o, err) < 0) {
		row_free(row, false);
		return -1;
	}
	*vec_push(&s->rows) = row;
	format_bound(row, bound);
	announce(s, row);
	return 0;
}

/* Whoever has it or was lent it; a worker that closed it already does nothing. */
static void
take_from_workers(struct sockets *s, struct socket_row *row)
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

static void
drop_row(struct sockets *s, size_t at)
{
	struct socket_row *row = s->rows.at[at];

	vec_remove(&s->rows, at);
	if (!(row->flags & LISTEN_ADMIN) && !s->stopped)
		take_from_workers(s, row);
	row_free(row, true);
}

void
sockets_unlisten(struct sockets *s, struct str key)
{
	size_t at;

	if (find_row(s, key, &at))
		drop_row(s, at);
}

void
sockets_disown(struct sockets *s)
{
	for (size_t i = s->rows.len; i-- > 0;) {
		struct socket_row *row = s->rows.at[i];

		vec_remove(&s->rows, i);
		if (!(row->flags & LISTEN_ADMIN))
			take_from_workers(s, row);
		row_free(row, false);
	}
}

void
sockets_give_up(struct sockets *s, struct str key)
{
	size_t at;
	struct socket_row *row = find_row(s, key, &at);

	if (row == NULL)
		return;
	if (!(row->flags & LISTEN_ADMIN))
		take_from_workers(s, row);
	close_all(row);
	row->given_up = true;
}

void
sockets_reopen(struct sockets *s)
{
	for (size_t i = 0; i < s->rows.len; i++) {
		struct socket_row *row = s->rows.at[i];
		struct err err;

		if (row->given_up && open_again(s, row, &err) < 0)
			log_error(LOG_MASTER, "listener address %s: cannot be opened again: %s", row->key,
			    err.text);
	}
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

void
sockets_give_admin(struct sockets *s, struct str key)
{
	size_t at;
	struct socket_row *row = find_row(s, key, &at);

	if (row && (row->flags & LISTEN_ADMIN) && row->claimed && row->n && !s->stopped)
		give(s, row, 0, 0, false);
}

/* ---- from a service manager */

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
		drop_handed(s, 0);
	}
}

/* ---- from one generation to the next */

/* Two descriptors of one socket: a lent one may come from its owner and from its neighbour. */
static bool
has_socket(const struct socket_row *row, int fd)
{
	struct stat a, b;

	if (fstat(fd, &a) < 0)
		return false;
	for (unsigned i = 0; i < row->n; i++)
		if (fstat(row->at[i].fd, &b) == 0 && a.st_ino == b.st_ino)
			return true;
	return false;
}

int
sockets_inherit(struct sockets *s, struct str key, uint64_t flags, int fd, struct err *err)
{
	size_t at;
	struct socket_row *row = find_row(s, key, &at);
	struct listen_request q = {.key = key, .flags = flags & ~(uint64_t)LISTEN_HANDED};
	struct socket_options o;
	struct address a;

	if (read_request(&q, &a, &o, err) < 0)
		return -1;
	address_local(&a, fd);
	if (a.len == 0)
		return err_set(err, "'" STR_FMT "': not a socket", STR_ARG(key));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); /* no worker ever waits in accept */
	if (row == NULL) {
		row = mem_new(struct socket_row);
		row->key = str_dupz(key);
		row->flags = q.flags;
		row->address = a;
		row->shared = shares_one(&q, &a);
		*vec_push(&s->rows) = row;
	}
	if (has_socket(row, fd)) { /* every orphan has a copy of a shared one */
		close(fd);
		return 0;
	}
	if (row->n && row->shared && !(flags & LISTEN_HANDED)) /* a service manager may have several */
		return err_set(err, "'" STR_FMT "': has its socket already", STR_ARG(key));
	row->at = mem_resize(row->at, (row->n + 1) * sizeof(*row->at));
	row->at[row->n++] = (struct one_socket){.fd = fd, .handed = (flags & LISTEN_HANDED) != 0};
	return 0;
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
		row_free(row, false);
		break;
	}
	return strb_str(key);
}

size_t
sockets_rows(const struct sockets *s)
{
	return s->rows.len;
}
