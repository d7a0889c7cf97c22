#include "tests/harness/script.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "lib/base/mem.h"
#include "lib/http/codec.h"
#include "lib/net/conn.h"

#define LOOK_MS 2 /* how often the host looks for a change of its script */
#define DEAF_FILL 4

struct actor {
	struct script *script; /* shared with the scene */
	struct loop *loop;
	bool http2;
	uint16_t port;
	int listener;	     /* -1: none */
	int fill[DEAF_FILL]; /* connections that fill a deaf listener */
	struct io io;
	struct timer look;
	struct list parts;
	struct codec_config config;
	struct http1_codec_stats h1_stats;
	struct http2_codec_stats h2_stats;
};

/* One connection. */
struct part {
	struct list node; /* actor's parts */
	struct actor *actor;
	struct io io;
	struct conn conn;
	struct codec *codec;
	struct flush flush;
	enum ending {
		GOES_ON,
		TO_CLOSE, /* at the end of the turn: the codec may be at its bytes */
		TO_RESET,
	} ending;
};

/* One request. */
struct line {
	struct part *part;
	struct codec_stream *s; /* NULL: over */
	struct arena arena;
	struct timer delay;
	struct rule rule;
	bool begun; /* its rule was found and is played */
	bool read;  /* the request is complete */
};

/* ---- rules */

static bool
fits(struct script *sc, unsigned i, struct str path)
{
	const struct rule *r = &sc->rules[i];

	return (r->times == 0 || sc->used[i] < r->times) &&
	       (r->path == NULL || str_starts(path, str_of(r->path)));
}

static struct rule
find_rule(struct script *sc, struct str path)
{
	for (unsigned i = 0; i < sc->rules_n; i++) {
		if (!fits(sc, i, path))
			continue;
		sc->used[i]++;
		return sc->rules[i];
	}
	return (struct rule){.status = 200};
}

/* ---- answering */

static void
add_lines(struct headers *h, struct arena *a, const char *lines)
{
	struct str rest = str_of(lines ? lines : ""), one, name;

	while (str_cut(&rest, '\n', &one)) {
		if (one.n && one.p[one.n - 1] == '\r')
			one.n--;
		if (str_cut(&one, ':', &name) && name.n)
			headers_set(h, arena_str(a, name), arena_str(a, str_trim(one)));
	}
}

static void
send_body(struct line *t, size_t n, bool end)
{
	static char filler[4096];
	struct buf b;

	memset(filler, 'x', sizeof(filler));
	buf_init(&b);
	if (t->rule.body == 0 && end)
		buf_addz(&b, t->part->actor->script->name);
	for (size_t left = t->rule.body ? n : 0; left;) {
		size_t now = left < sizeof(filler) ? left : sizeof(filler);

		buf_add(&b, filler, now);
		left -= now;
	}
	codec_send_data(t->s, &b, end);
	buf_fini(&b);
}

static void
send_head(struct line *t)
{
	const struct rule *r = &t->rule;
	size_t n = r->body ? r->body : strlen(t->part->actor->script->name);
	struct headers h;

	headers_init(&h, &t->arena);
	headers_set_status(&h, r->status ? r->status : 200);
	if (!r->bare)
		headers_add_id(&h, HDR_CONTENT_LENGTH, str_of(arena_printf(&t->arena, "%zu", n)));
	add_lines(&h, &t->arena, r->headers);
	codec_send_headers(t->s, &h, r->bare);
}

static void
write_raw(struct part *p, const void *bytes, size_t n)
{
	struct buf b;

	buf_init(&b);
	codec_output(p->codec, &b);
	buf_add(&b, bytes, n);
	conn_write(&p->conn, &b);
	buf_fini(&b);
}

/* A GOAWAY whose last stream stands before this one. */
static void
go_away(struct line *t)
{
	uint32_t last = htonl(t->s->id > 2 ? t->s->id - 2 : 0);
	unsigned char frame[17] = {0, 0, 8, 7};

	memcpy(frame + 9, &last, 4);
	write_raw(t->part, frame, sizeof(frame));
}

static void
end_connection(struct part *p, enum ending how)
{
	p->ending = how;
	loop_flush(p->actor->loop, &p->flush);
}

static void
reset_stream(struct line *t, enum stream_reset why)
{
	struct codec_stream *s = t->s;

	if (!t->part->actor->http2) {
		end_connection(t->part, TO_RESET);
		return;
	}
	t->s = NULL;
	codec_reset(s, why);
}

static void
play_deed(struct line *t)
{
	switch (t->rule.deed) {
	case DEED_ANSWER:
		send_head(t);
		if (!t->rule.bare && t->s)
			send_body(t, t->rule.body, true);
		break;
	case DEED_HANG:
		break;
	case DEED_CLOSE:
		end_connection(t->part, TO_CLOSE);
		break;
	case DEED_RESET:
		end_connection(t->part, TO_RESET);
		break;
	case DEED_REFUSE_STREAM:
		reset_stream(t, RESET_LOCAL_REFUSED);
		break;
	case DEED_CANCEL_STREAM:
		reset_stream(t, RESET_LOCAL);
		break;
	case DEED_GOAWAY:
		go_away(t);
		break;
	case DEED_GARBAGE:
		write_raw(t->part, "\x00\xffgarbage\r\n\r\n", 13);
		break;
	}
}

/* The first half of an answer must have left before the connection is cut. */
static void
play_rest(void *arg)
{
	struct line *t = arg;

	if (t->s && !t->part->conn.closed)
		play_deed(t);
}

static void
play(void *arg)
{
	struct line *t = arg;

	if (t->s == NULL || t->part->conn.closed)
		return;
	if (t->rule.when != IN_ANSWER) {
		play_deed(t);
		return;
	}
	send_head(t);
	send_body(t, t->rule.body / 2, false);
	timer_init(&t->delay, play_rest, t);
	timer_set(t->part->actor->loop, &t->delay, 20);
}

static void
begin(struct line *t)
{
	t->begun = true;
	timer_init(&t->delay, play, t);
	if (t->rule.delay_ms)
		timer_set(t->part->actor->loop, &t->delay, t->rule.delay_ms);
	else
		play(t);
}

/* ---- requests */

static void
note_head(struct script *sc, const struct headers *h)
{
	size_t at = 0;

	for (uint32_t i = 0; i < h->len; i++) {
		int n = snprintf(sc->last + at, sizeof(sc->last) - at, "%.*s: %.*s\n",
		    h->at[i].name_len, h->at[i].name, (int)h->at[i].value_len, h->at[i].value);

		if (n < 0 || (size_t)n >= sizeof(sc->last) - at)
			break;
		at += (size_t)n;
	}
	sc->last[at] = '\0';
}

static void
read_end(struct line *t, bool end)
{
	if (!end)
		return;
	t->read = true;
	t->part->actor->script->complete++;
	if (!t->begun)
		begin(t);
}

static void
on_headers(void *arg, struct headers *h, bool end)
{
	struct line *t = arg;
	struct script *sc = t->part->actor->script;

	sc->requests++;
	note_head(sc, h);
	t->rule = find_rule(sc, headers_get(h, HDR_PATH));
	if (t->rule.when == AT_HEADERS)
		begin(t);
	if (t->s)
		read_end(t, end);
}

static void
on_data(void *arg, struct buf *data, bool end)
{
	struct line *t = arg;

	t->part->actor->script->body_bytes += data->len;
	buf_drain(data, data->len);
	read_end(t, end);
}

static void
on_trailers(void *arg, struct headers *h)
{
	read_end(arg, true);
}

static void
line_free(void *arg)
{
	struct line *t = arg;

	arena_fini(&t->arena);
	mem_free(t);
}

static void
line_over(struct line *t)
{
	t->s = NULL;
	timer_stop(&t->delay);
	loop_defer(t->part->actor->loop, line_free, t);
}

static void
on_reset(void *arg, enum stream_reset why, const char *details)
{
	struct line *t = arg;

	t->part->actor->script->streams_reset++;
	line_over(t);
}

static void
on_error(void *arg, const struct codec_error *e)
{
	struct line *t = arg;

	end_connection(t->part, TO_RESET);
}

static void
on_done(void *arg)
{
	line_over(arg);
}

static void
ignore(void *arg)
{
}

static const struct stream_events stream_events = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_error = on_error,
    .on_reset = on_reset,
    .on_blocked = ignore,
    .on_unblocked = ignore,
    .on_done = on_done,
};

static void
on_stream(void *arg, struct codec_stream *s)
{
	struct part *p = arg;
	struct line *t = mem_new(struct line);

	t->part = p;
	t->s = s;
	timer_init(&t->delay, play, t);
	arena_init(&t->arena);
	s->events = &stream_events;
	s->arg = t;
	s->arena = &t->arena;
}

/* ---- connections */

static void
on_output(void *arg)
{
	struct part *p = arg;

	loop_flush(p->actor->loop, &p->flush);
}

static void
on_flush(void *arg)
{
	struct part *p = arg;
	struct linger hard = {.l_onoff = 1};
	struct buf out;

	if (p->conn.closed || p->codec == NULL)
		return;
	if (p->ending == TO_RESET) {
		setsockopt(p->conn.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		conn_close(&p->conn, CLOSE_NOW, 0);
		return;
	}
	buf_init(&out);
	codec_output(p->codec, &out);
	conn_write(&p->conn, &out);
	buf_fini(&out);
	if (p->codec->broken || p->ending == TO_CLOSE)
		conn_close(&p->conn, CLOSE_FLUSH, 100);
}

static void
on_more(void *arg)
{
	struct part *p = arg;

	if (!p->conn.closed)
		conn_again(&p->conn);
}

static void
on_broken(void *arg, const struct codec_error *e)
{
	on_output(arg);
}

static const struct codec_events codec_events = {
    .on_stream = on_stream,
    .on_output = on_output,
    .on_more = on_more,
    .on_broken = on_broken,
};

static void
on_bytes(void *arg)
{
	struct part *p = arg;

	if (!p->codec->broken)
		codec_feed(p->codec, &p->conn.in);
}

static void
on_eof(void *arg)
{
	struct part *p = arg;

	codec_eof(p->codec);
	conn_close(&p->conn, CLOSE_NOW, 0);
}

static void
part_free(void *arg)
{
	mem_free(arg);
}

static void
on_closed(void *arg, enum conn_end why, int error)
{
	struct part *p = arg;

	p->actor->script->open--;
	list_remove(&p->node);
	flush_cancel(&p->flush);
	codec_free(&p->codec);
	flush_cancel(&p->flush);
	loop_defer(p->actor->loop, part_free, p);
}

static const struct conn_events conn_events = {
    .on_data = on_bytes,
    .on_eof = on_eof,
    .on_high = ignore,
    .on_low = ignore,
    .on_closed = on_closed,
};

static void
on_accept(void *arg, unsigned ready)
{
	struct actor *a = arg;
	int fd;

	while ((fd = accept4(a->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct part *p = mem_new(struct part);

		a->script->connections++;
		a->script->open++;
		p->actor = a;
		p->flush.fn = on_flush;
		p->flush.arg = p;
		p->codec = (a->http2 ? h2_server_new : h1_server_new)(&a->config, &codec_events, p);
		list_push_back(&a->parts, &p->node);
		conn_open(&p->conn, &p->io, a->loop, fd, &plain_transport, 1 << 20, &conn_events, p);
		conn_kick(&p->conn);
	}
}

/* ---- the listening socket */

/* Bound, not listening: while it is there the port is nobody else's. */
static int
bind_port(uint16_t *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t n = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int));
	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		return -1;
	getsockname(fd, (struct sockaddr *)&in, &n);
	*port = ntohs(in.sin_port);
	return fd;
}

static void
close_listener(struct actor *a)
{
	io_del(&a->io);
	if (a->listener >= 0)
		close(a->listener);
	a->listener = -1;
	for (unsigned i = 0; i < DEAF_FILL; i++) {
		if (a->fill[i] > 0)
			close(a->fill[i]);
		a->fill[i] = 0;
	}
}

/* The queue of established connections is full and nobody takes them out. */
static void
fill_queue(struct actor *a)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned i = 0; i < DEAF_FILL; i++) {
		a->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(a->fill[i], (struct sockaddr *)&in, sizeof(in));
	}
}

static void
listen_as_told(struct actor *a, enum listening how)
{
	close_listener(a);
	if (how == LISTEN_REFUSE)
		return;
	a->listener = bind_port(&a->port);
	if (a->listener < 0 || listen(a->listener, how == LISTEN_DEAF ? 0 : 1024) < 0)
		_exit(1);
	if (how == LISTEN_DEAF)
		fill_queue(a);
	else
		io_add_level(a->loop, &a->io, a->listener, IO_READ, on_accept, a);
}

static void
drop_all(struct actor *a)
{
	list_for_each(n, &a->parts)
	    conn_close(&list_entry(n, struct part, node)->conn, CLOSE_NOW, 0);
}

static void
on_look(void *arg)
{
	struct actor *a = arg;
	struct script *sc = a->script;

	if (sc->want != sc->is) {
		listen_as_told(a, (enum listening)sc->want);
		sc->is = sc->want;
	}
	if (sc->drop != sc->dropped) {
		drop_all(a);
		sc->dropped = sc->drop;
	}
	timer_set(a->loop, &a->look, LOOK_MS);
}

/* ---- the process */

static void
run(struct script *sc, uint16_t port, bool http2)
{
	struct actor a = {.script = sc, .http2 = http2, .port = port, .listener = -1};

	a.config = (struct codec_config){
	    .max_headers_bytes = 60 * 1024,
	    .max_headers_count = 100,
	    .high_watermark = 1 << 20,
	    .h1_stats = &a.h1_stats,
	    .h2_stats = &a.h2_stats,
	};
	http2_settings_defaults(&a.config.h2);
	a.loop = loop_new();
	list_init(&a.parts);
	timer_init(&a.look, on_look, &a);
	listen_as_told(&a, LISTEN_YES);
	sc->is = LISTEN_YES;
	timer_set(a.loop, &a.look, LOOK_MS);
	loop_run(a.loop);
}

/* ---- what scenes call */

static struct script *scripts[SCENE_HOSTS];

unsigned
scene_scripted(struct scene *sc, const char *name, bool http2)
{
	unsigned host = sc->hosts++;
	int reserved = bind_port(&sc->host_port[host]);
	struct script *s =
	    mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	assert_true(reserved >= 0 && s != MAP_FAILED);
	if (scripts[host])
		munmap(scripts[host], sizeof(*s));
	scripts[host] = s;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->is = -1;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(s, sc->host_port[host], http2);
		_exit(0);
	}
	close(reserved);
	sc->host_pid[host] = pid;
	WAIT_FOR(s->is == LISTEN_YES);
	return host;
}

struct script *
script_of(struct scene *sc, unsigned host)
{
	assert_true(host < sc->hosts && scripts[host]);
	return scripts[host];
}

void
script_add(struct scene *sc, unsigned host, struct rule rule)
{
	struct script *s = script_of(sc, host);
	unsigned n = s->rules_n;

	assert_true(n < SCRIPT_RULES);
	s->rules[n] = rule;
	s->used[n] = 0;
	s->rules_n = n + 1;
}

void
script_clear(struct scene *sc, unsigned host)
{
	script_of(sc, host)->rules_n = 0;
}

void
script_listen(struct scene *sc, unsigned host, enum listening how)
{
	struct script *s = script_of(sc, host);

	s->want = (int)how;
	WAIT_FOR(s->is == (int)how);
}

void
script_drop(struct scene *sc, unsigned host)
{
	struct script *s = script_of(sc, host);

	s->drop++;
	WAIT_FOR(s->dropped == s->drop); /* others may be open by now */
}
