/*
 * A partner that speaks the hand-over as its first version did, written
 * out here in bytes: nothing of lib/ipc is used, so that a change over
 * there which an elder baton would not understand fails here.  Once as
 * the new generation, once as the old one.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/base/mem.h"
#include "tests/harness/killing.h"

/* ---- packets: frames of type 2, reserved 2, length 4, value; the first is the word */

enum {
	HELLO = 32,
	REFUSED = 33,
	SOCKET = 34,
	JOURNAL = 35,
	GENERATION = 36,
	STATE_END = 37,
	READY = 38,
	GO = 39,
	PAIR = 40,
	REMOVED = 41,
	DRAIN = 42,
	REPORT = 43,
	GOODBYE = 44,
	TAKE_BACK = 45,
	CONNECTION = 48,
	YES = 49,
};

enum {
	VERSION = 64,
	TEXT = 65,
	PID = 66,
	EPOCH = 67,
	ID = 68,
	KEY = 69,
	FLAGS = 70,
	INDEX = 71,
	WORKERS = 72,
	USE = 73,
	HEALTH_FAILED = 74,
	STARTED_NS = 75,
	SECONDS = 76,
	IMMEDIATE = 77,
	DEADLINE_S = 78,
	HELD = 79,
	JSON = 80,
	ENDING = 81,
	CONNECTION_ID = 82,
	REMOTE = 83,
	LOCAL = 84,
	OPENED_NS = 85,
	REQUESTS = 86,
	HTTP1 = 87,
};

struct packet {
	unsigned char bytes[65536];
	size_t n;
	int fd;
};

static struct packet
word(unsigned type)
{
	struct packet p = {.n = 8, .fd = -1};

	p.bytes[0] = (unsigned char)type;
	return p;
}

static void
put(struct packet *p, unsigned type, const void *value, size_t n)
{
	unsigned char *at = p->bytes + p->n;

	memset(at, 0, 8);
	at[0] = (unsigned char)type;
	at[4] = (unsigned char)n;
	at[5] = (unsigned char)(n >> 8);
	memcpy(at + 8, value, n);
	p->n += 8 + n;
}

static void
put_u(struct packet *p, unsigned type, uint64_t v)
{
	unsigned char bytes[8];

	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(v >> 8 * i);
	put(p, type, bytes, 8);
}

static void
put_z(struct packet *p, unsigned type, const char *text)
{
	put(p, type, text, strlen(text));
}

static void
say(int sock, const struct packet *p, int fd)
{
	char room[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec iov = {(void *)(uintptr_t)p->bytes, p->n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)room;

		m.msg_control = room;
		m.msg_controllen = sizeof(room);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(sock, &m, MSG_NOSIGNAL), p->n);
}

static void
say_word(int sock, unsigned type)
{
	struct packet p = word(type);

	say(sock, &p, -1);
}

/* The next packet; its word, 0 at the end. */
static unsigned
hear(int sock, struct packet *p)
{
	char room[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {p->bytes, sizeof(p->bytes)};
	struct msghdr m = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct pollfd ready = {.fd = sock, .events = POLLIN};
	struct cmsghdr *c;
	ssize_t n;

	assert_int_equal(poll(&ready, 1, SCENE_PATIENCE_MS), 1);
	n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	p->n = n > 0 ? (size_t)n : 0;
	p->fd = -1;
	if (p->n == 0)
		return 0;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&p->fd, CMSG_DATA(c), sizeof(int));
	return p->bytes[0];
}

/* Words that came later than the first version are skipped, as it would. */
static void
hear_until(int sock, struct packet *p, unsigned wanted)
{
	unsigned heard;

	while ((heard = hear(sock, p)) != wanted)
		if (heard == 0 || heard == REFUSED)
			fail_msg("word %u in place of %u", heard, wanted);
}

static const unsigned char *
field(const struct packet *p, unsigned type, size_t *n)
{
	for (size_t at = 0; at + 8 <= p->n;) {
		const unsigned char *f = p->bytes + at;

		*n = f[4] | (size_t)f[5] << 8 | (size_t)f[6] << 16;
		if (f[0] == type)
			return f + 8;
		at += 8 + *n;
	}
	fail_msg("field %u is not there", type);
	return NULL;
}

static uint64_t
field_u(const struct packet *p, unsigned type)
{
	uint64_t v = 0;
	size_t n;
	const unsigned char *f = field(p, type, &n);

	assert_int_equal(n, 8);
	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)f[i] << 8 * i;
	return v;
}

static bool
field_is(const struct packet *p, unsigned type, const char *text)
{
	size_t n;
	const unsigned char *f = field(p, type, &n);

	return n == strlen(text) && memcmp(f, text, n) == 0;
}

/* ---- as the new generation */

static void
serve(struct scene *sc)
{
	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "1";
	scene_proxy(sc, CONF_SIMPLE);
}

static int
control(struct scene *sc)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/0/control.sock", sc->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

/* Hello, copies, ready, go.  Gives the listening socket of the clients. */
static int
take_over(struct scene *sc, int sock)
{
	struct packet p = word(HELLO);
	int listening = -1, sockets = 0;
	unsigned heard;

	put_z(&p, VERSION, "1.0");
	put_u(&p, PID, (uint64_t)getpid());
	put_u(&p, ID, 2);
	put_u(&p, WORKERS, 1);
	say(sock, &p, -1);
	hear_until(sock, &p, HELLO);
	assert_true(field_is(&p, VERSION, "1.0"));
	assert_int_equal(field_u(&p, PID), sc->proxy);
	assert_int_equal(field_u(&p, EPOCH), 0);
	assert_int_equal(field_u(&p, ID), 1);
	assert_int_equal(field_u(&p, WORKERS), 1);
	assert_int_equal(field_u(&p, HEALTH_FAILED), 0);
	assert_true(field_u(&p, STARTED_NS) > 0);
	while ((heard = hear(sock, &p)) != STATE_END) {
		assert_int_not_equal(heard, 0);
		if (heard == JOURNAL)
			assert_true(p.fd >= 0 && field_u(&p, USE) > 0);
		if (heard == SOCKET) {
			assert_true(p.fd >= 0);
			sockets++;
			assert_int_equal(field_u(&p, INDEX), 0);
			if (!(field_u(&p, FLAGS) & 4)) { /* the admin port's has that bit */
				assert_true(field_is(&p, KEY, "127.0.0.1:0#main"));
				listening = dup(p.fd);
			}
		}
		if (p.fd >= 0)
			close(p.fd);
	}
	assert_int_equal(sockets, 2);
	p = word(READY);
	put_u(&p, EPOCH, 1);
	say(sock, &p, -1);
	hear_until(sock, &p, GO);
	return listening;
}

static void
drain(int sock)
{
	struct packet p = word(DRAIN);

	put_u(&p, SECONDS, 5);
	put_u(&p, IMMEDIATE, 0);
	put_u(&p, DEADLINE_S, 60);
	say(sock, &p, -1);
}

static void
answer(int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst";
	char request[1024];

	assert_true(recv(fd, request, sizeof(request), 0) > 0);
	assert_int_equal(send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL), sizeof(head) - 1);
}

static void
assert_first_answers(int client, int server)
{
	struct reply r;

	client_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	answer(server);
	r = client_reply(client, false);
	assert_string_equal(r.body, "first");
	reply_free(&r);
}

static void
the_first_version_takes_over(void **state)
{
	struct packet p;
	struct scene sc;
	struct reply r;
	int sock, listening, pair[2], idle, busy, other, mine;

	serve(&sc);
	idle = client_connect(sc.port);
	client_send(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	r = client_reply(idle, false);
	reply_free(&r);
	busy = generation_hold(&sc, 1500);
	sock = control(&sc);
	listening = take_over(&sc, sock);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	p = word(PAIR);
	put_u(&p, INDEX, 1);
	say(sock, &p, pair[1]);
	close(pair[1]);
	drain(sock);
	/* The idle connection comes, and is ours after "yes". */
	assert_int_equal(hear(pair[0], &p), CONNECTION);
	assert_true(p.fd >= 0);
	assert_true(field_is(&p, KEY, "127.0.0.1:0#main"));
	assert_int_equal(field_u(&p, REQUESTS), 1);
	assert_int_equal(field_u(&p, HTTP1), 1);
	mine = p.fd;
	say_word(pair[0], YES);
	assert_first_answers(idle, mine);
	close(mine);
	/* New connections are ours. */
	other = client_connect(sc.port);
	mine = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	assert_true(mine >= 0);
	fcntl(mine, F_SETFL, fcntl(mine, F_GETFL) & ~O_NONBLOCK);
	assert_first_answers(other, mine);
	close(mine);
	close(other);
	/* What it holds is reported, and its end is told. */
	hear_until(sock, &p, REPORT);
	while (field_u(&p, HELD) != 1)
		hear_until(sock, &p, REPORT);
	generation_let_go(busy);
	hear_until(sock, &p, GOODBYE);
	assert_int_equal(field_u(&p, ENDING), 0);
	WAIT_FOR(process_is_gone(sc.proxy));
	sc.proxy = 0;
	close(idle);
	close(pair[0]);
	close(listening);
	close(sock);
	scene_fini(&sc);
}

static void
it_dies_and_the_old_one_takes_back(void **state)
{
	struct scene sc;
	int sock, busy;

	serve(&sc);
	busy = generation_hold(&sc, 1500);
	sock = control(&sc);
	close(take_over(&sc, sock));
	drain(sock);
	scene_wait_log(&sc, "draining, another serves");
	close(sock);
	for (int i = 0; i < 10; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	generation_let_go(busy);
	scene_fini(&sc);
}

static void
it_rolls_back(void **state)
{
	struct packet p;
	struct scene sc;
	int sock, busy;

	serve(&sc);
	busy = generation_hold(&sc, 1500);
	sock = control(&sc);
	close(take_over(&sc, sock));
	drain(sock);
	scene_wait_log(&sc, "draining, another serves");
	say_word(sock, TAKE_BACK);
	hear_until(sock, &p, DRAIN);
	assert_true(field_u(&p, SECONDS) > 0);
	assert_true(field_u(&p, DEADLINE_S) > 0);
	p = word(GOODBYE);
	put_u(&p, ENDING, 0);
	put_u(&p, SECONDS, 0);
	say(sock, &p, -1);
	close(sock);
	for (int i = 0; i < 10; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	generation_let_go(busy);
	scene_fini(&sc);
}

/* ---- as the old generation */

struct first {
	int alive, control, listening, sock;
	uint16_t port;
	char key[32];
};

static int
listen_on_loopback(uint16_t *port)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* What it has in the runtime directory: a lock that it holds, and its control socket by two names.
 */
static void
be_first(struct scene *sc, struct first *f)
{
	static const char *const dirs[] = {"0", "0/g1"};
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char *path;

	for (unsigned i = 0; i < 2; i++) {
		path = mem_printf("%s/%s", sc->dir, dirs[i]);
		assert_int_equal(mkdir(path, 0700), 0);
		mem_free(path);
	}
	path = mem_printf("%s/0/g1/alive", sc->dir);
	f->alive = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fcntl(f->alive, F_SETLK, &l), 0);
	mem_free(path);
	f->control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/0/g1/control.sock", sc->dir);
	assert_int_equal(bind(f->control, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(f->control, 8), 0);
	path = mem_printf("%s/0/control.sock", sc->dir);
	assert_int_equal(link(un.sun_path, path), 0);
	mem_free(path);
	f->listening = listen_on_loopback(&f->port);
	snprintf(f->key, sizeof(f->key), "127.0.0.1:%u", f->port);
}

static void
give_copies(struct first *f)
{
	struct packet p;

	f->sock = accept4(f->control, NULL, NULL, SOCK_CLOEXEC);
	assert_true(f->sock >= 0);
	hear_until(f->sock, &p, HELLO);
	assert_true(field_is(&p, VERSION, "1.0"));
	assert_int_equal(field_u(&p, WORKERS), 2);
	assert_int_equal(field_u(&p, ID), 2);
	p = word(HELLO);
	put_z(&p, VERSION, "1.0");
	put_u(&p, PID, (uint64_t)getpid());
	put_u(&p, EPOCH, 4);
	put_u(&p, ID, 1);
	put_u(&p, WORKERS, 1);
	put_u(&p, HEALTH_FAILED, 0);
	put_u(&p, STARTED_NS, 1);
	say(f->sock, &p, -1);
	p = word(SOCKET);
	put_z(&p, KEY, f->key);
	put_u(&p, FLAGS, 1); /* one for each worker */
	put_u(&p, INDEX, 0);
	say(f->sock, &p, f->listening);
	say_word(f->sock, STATE_END);
}

static uint64_t
monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* An accepted connection that carried nothing yet. */
static void
offer(int pair, const struct first *f, int fd)
{
	struct sockaddr_in remote, local;
	socklen_t n = sizeof(remote);
	struct packet p = word(CONNECTION);

	getpeername(fd, (struct sockaddr *)&remote, &n);
	getsockname(fd, (struct sockaddr *)&local, &n);
	put_z(&p, KEY, f->key);
	put_u(&p, CONNECTION_ID, 77);
	put(&p, REMOTE, &remote, sizeof(remote));
	put(&p, LOCAL, &local, sizeof(local));
	put_u(&p, OPENED_NS, monotonic_ns());
	put_u(&p, REQUESTS, 3);
	put_u(&p, HTTP1, 1);
	say(pair, &p, fd);
}

static void
write_config(struct scene *sc, const struct first *f)
{
	static const char any[] = "port_value: 0}}\n    filter_chains";
	const char *at = strstr(CONF_SIMPLE, any);
	char *yaml;

	assert_non_null(at);
	yaml = mem_printf("%.*sport_value: %u%s", (int)(at - CONF_SIMPLE), CONF_SIMPLE, f->port,
	    at + strlen("port_value: 0"));
	scene_write_config(sc, yaml);
	mem_free(yaml);
}

static void
the_first_version_is_taken_over_from(void **state)
{
	struct first f;
	struct packet p;
	struct scene sc;
	struct reply r;
	int client, served, pair;

	scene_init(&sc);
	scene_origin(&sc, "one");
	be_first(&sc, &f);
	write_config(&sc, &f);
	client = client_connect(f.port);
	served = accept4(f.listening, NULL, NULL, SOCK_CLOEXEC);
	sc.proxy = generation_spawn(&sc, "auto");
	give_copies(&f);
	hear_until(f.sock, &p, READY);
	assert_int_equal(field_u(&p, EPOCH), 5);
	say_word(f.sock, GO);
	hear_until(f.sock, &p, PAIR);
	assert_int_equal(field_u(&p, INDEX), 1);
	pair = p.fd;
	assert_true(pair >= 0);
	hear_until(f.sock, &p, DRAIN);
	assert_int_equal(field_u(&p, SECONDS), 600);
	assert_int_equal(field_u(&p, IMMEDIATE), 0);
	assert_true(field_u(&p, DEADLINE_S) >= 900);
	scene_find_ports(&sc);
	offer(pair, &f, served);
	fcntl(pair, F_SETFL, fcntl(pair, F_GETFL) & ~O_NONBLOCK);
	hear_until(pair, &p, YES);
	close(served);
	client_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	r = client_reply(client, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	close(f.listening);
	for (int i = 0; i < 10; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	p = word(REPORT);
	put_u(&p, HELD, 3);
	put_z(&p, TEXT, "the first version, holding three\n");
	put_z(&p, JSON, "{}");
	say(f.sock, &p, -1);
	scene_wait_stat(&sc, "server.parent_connections", 3);
	p = word(GOODBYE);
	put_u(&p, ENDING, 0);
	put_u(&p, SECONDS, 0);
	say(f.sock, &p, -1);
	close(f.sock);
	close(f.control);
	close(f.alive);
	assert_stat(&sc, "server.parent_connections", 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	close(client);
	close(pair);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_version_takes_over),
	    cmocka_unit_test(it_dies_and_the_old_one_takes_back),
	    cmocka_unit_test(it_rolls_back),
	    cmocka_unit_test(the_first_version_is_taken_over_from),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
