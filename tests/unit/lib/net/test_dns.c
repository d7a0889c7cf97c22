/* Names to addresses; addresses as names need no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/assert.h"
#include "lib/event/loop.h"
#include "lib/net/dns.h"

struct heard {
	unsigned times;
	size_t n;
	char first[ADDRESS_TEXT];
	uint32_t ttl_s;
	bool failed, why;
};

static void
on_answer(void *arg, const struct dns_found *f)
{
	struct heard *h = arg;

	h->times++;
	h->n = f->n;
	h->ttl_s = f->ttl_s;
	h->failed = f->failed;
	h->why = f->why != NULL;
	if (f->n)
		address_format(&f->at[0], h->first);
}

static void
families_choose_among_the_addresses(void **state)
{
	static const struct {
		const char *name;
		enum dns_family family;
		const char *first; /* NULL: no answer */
	} rows[] = {
	    {"127.0.0.1", DNS_AUTO, "127.0.0.1:80"},
	    {"127.0.0.1", DNS_V4_ONLY, "127.0.0.1:80"},
	    {"127.0.0.1", DNS_V4_PREFERRED, "127.0.0.1:80"},
	    {"127.0.0.1", DNS_ALL, "127.0.0.1:80"},
	    {"127.0.0.1", DNS_V6_ONLY, NULL},
	    {"::1", DNS_AUTO, "[::1]:80"},
	    {"::1", DNS_V4_PREFERRED, "[::1]:80"},
	    {"::1", DNS_V4_ONLY, NULL},
	};
	struct loop *loop = loop_new();
	struct err err;
	struct dns *d = dns_new(loop, NULL, &err);

	assert_non_null(d);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct heard h = {0};

		dns_resolve(d, str_of(rows[i].name), 80, rows[i].family, on_answer, &h);
		assert_int_equal(h.times, 0); /* never from inside */
		while (h.times == 0)
			loop_turn(loop, false);
		assert_int_equal(h.times, 1);
		assert_int_equal(h.n, rows[i].first ? 1 : 0);
		assert_int_equal(h.why, rows[i].first == NULL);
		if (rows[i].first)
			assert_string_equal(h.first, rows[i].first);
	}
	dns_free(&d);
	assert_null(d);
	loop_free(&loop);
}

static void
an_open_question_is_answered_when_the_resolver_goes(void **state)
{
	struct loop *loop = loop_new();
	struct heard h = {0};
	struct err err;
	struct dns *d = dns_new(loop, NULL, &err);

	dns_resolve(d, STR("nobody.invalid"), 80, DNS_AUTO, on_answer, &h);
	dns_free(&d);
	while (h.times == 0) /* at once, or from the loop when the answer was there */
		loop_turn(loop, false);
	loop_turn(loop, false);
	assert_int_equal(h.times, 1);
	assert_int_equal(h.n, 0);
	assert_true(h.why);
	loop_free(&loop);
}

static void
nobody_is_told_of_what_was_cancelled(void **state)
{
	struct loop *loop = loop_new();
	struct heard h = {0};
	struct err err;
	struct dns *d = dns_new(loop, NULL, &err);
	struct dns_question *q = dns_resolve(d, STR("127.0.0.1"), 80, DNS_AUTO, on_answer, &h);

	dns_cancel(&q);
	assert_null(q);
	q = dns_resolve(d, STR("nobody.invalid"), 80, DNS_AUTO, on_answer, &h);
	dns_cancel(&q);
	loop_turn(loop, false);
	dns_free(&d);
	loop_turn(loop, false);
	assert_int_equal(h.times, 0);
	loop_free(&loop);
}

/* ---- a server in this process: it answers the nth question of a type with the nth of its rows */

struct said {
	unsigned type; /* 1: A, 28: AAAA */
	unsigned rcode, n;
	uint32_t ttl[2];
};

struct server {
	int fd;
	struct address at;
	struct io io;
	const struct said *rows;
};

static size_t
add_record(uint8_t *p, const struct said *r, unsigned i)
{
	uint8_t length = r->type == 1 ? 4 : 16;
	uint8_t head[12] = {0xc0, 12, 0, (uint8_t)r->type, 0, 1, 0, 0, (uint8_t)(r->ttl[i] >> 8),
	    (uint8_t)r->ttl[i], 0, length};

	memcpy(p, head, sizeof(head));
	memset(p + sizeof(head), 0, length);
	p[sizeof(head) + length - 1] = (uint8_t)(i + 1);
	return sizeof(head) + length;
}

static void
on_question(void *arg, unsigned ready)
{
	struct server *s = arg;
	uint8_t b[1024];
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(s->fd, b, 512, 0, (struct sockaddr *)&from, &len);
	const struct said *r = s->rows;

	if (n < 17)
		return;
	while (r->type && r->type != b[n - 3])
		r++;
	b[2] = 0x84;
	b[3] = (uint8_t)(0x80 | r->rcode);
	b[7] = (uint8_t)r->n;
	for (unsigned i = 0; i < r->n; i++)
		n += (ssize_t)add_record(b + n, r, i);
	sendto(s->fd, b, (size_t)n, 0, (struct sockaddr *)&from, len);
}

static void
server_start(struct server *s, struct loop *l)
{
	struct err err;

	address_from_ip(&s->at, STR("127.0.0.1"), 0, &err);
	s->fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(s->fd, &s->at.sa, s->at.len), 0);
	address_local(&s->at, s->fd);
	io_add_level(l, &s->io, s->fd, IO_READ, on_question, s);
}

static void
answers_say_how_long_they_hold_and_whether_they_failed(void **state)
{
	static const struct {
		enum dns_family family;
		struct said says[2];
		size_t n;
		uint32_t ttl_s;
		bool failed;
	} rows[] = {
	    {DNS_V4_ONLY, {{1, 0, 2, {30, 10}}}, 2, 10, false},
	    {DNS_V6_ONLY, {{28, 0, 1, {7}}}, 1, 7, false},
	    {DNS_ALL, {{1, 0, 2, {30, 20}}, {28, 0, 1, {9}}}, 3, 9, false},
	    {DNS_AUTO, {{1, 0, 2, {30, 20}}, {28, 0, 1, {40}}}, 1, 40, false},
	    {DNS_AUTO, {{1, 0, 2, {30, 20}}, {28, 0, 0, {0}}}, 2, 20, false},
	    {DNS_V4_PREFERRED, {{1, 0, 1, {3}}, {28, 0, 2, {40, 1}}}, 1, 3, false},
	    {DNS_V4_ONLY, {{1, 0, 1, {0}}}, 1, 0, false},
	    {DNS_V4_ONLY, {{1, 0, 0, {0}}}, 0, 0, false}, /* no data */
	    {DNS_V4_ONLY, {{1, 3, 0, {0}}}, 0, 0, false}, /* no such name */
	    {DNS_V4_ONLY, {{1, 2, 0, {0}}}, 0, 0, true},
	    {DNS_AUTO, {{1, 2, 0, {0}}, {28, 0, 0, {0}}}, 0, 0, true}, /* one family may be there */
	    {DNS_AUTO, {{1, 0, 1, {5}}, {28, 2, 0, {0}}}, 1, 5, false},
	};
	struct loop *loop = loop_new();
	struct server s = {0};
	struct dns_settings settings = {.servers_n = 1, .no_search = true};
	struct err err;
	struct dns *d;

	server_start(&s, loop);
	settings.servers[0] = s.at;
	d = dns_new(loop, &settings, &err);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct said says[3] = {rows[i].says[0], rows[i].says[1], {0}};
		struct heard h = {0};

		s.rows = says;
		dns_resolve(d, STR("some.test"), 80, rows[i].family, on_answer, &h);
		while (h.times == 0)
			loop_turn(loop, true);
		assert_int_equal(h.n, rows[i].n);
		assert_int_equal(h.ttl_s, rows[i].ttl_s);
		assert_int_equal(h.failed, rows[i].failed);
	}
	dns_free(&d);
	io_del(&s.io);
	close(s.fd);
	loop_turn(loop, false);
	loop_free(&loop);
}

static struct heard
ask_once(struct loop *loop, struct dns *d)
{
	struct heard h = {0};

	dns_resolve(d, STR("some.test"), 80, DNS_V4_ONLY, on_answer, &h);
	while (h.times == 0)
		loop_turn(loop, true);
	return h;
}

static void
a_server_that_comes_back_is_found_again(void **state)
{
	static const struct said says[] = {{1, 0, 1, {5}}, {0}};
	struct loop *loop = loop_new();
	struct server s = {.rows = says};
	struct dns_settings settings = {.servers_n = 1, .no_search = true, .tries = 1, .try_ms = 1000};
	struct err err;
	struct dns *d;

	server_start(&s, loop);
	settings.servers[0] = s.at;
	d = dns_new(loop, &settings, &err);
	assert_int_equal(ask_once(loop, d).n, 1);
	io_del(&s.io);
	close(s.fd);
	assert_true(ask_once(loop, d).failed); /* refused */
	s.fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(s.fd, &s.at.sa, s.at.len), 0);
	io_add_level(loop, &s.io, s.fd, IO_READ, on_question, &s);
	assert_int_equal(ask_once(loop, d).n, 1);
	dns_free(&d);
	io_del(&s.io);
	close(s.fd);
	loop_turn(loop, false);
	loop_free(&loop);
}

static void
a_channel_may_ask_so_often_and_not_more(void **state)
{
	static const struct said says[] = {{1, 0, 1, {5}}, {0}};
	struct loop *loop = loop_new();
	struct server s = {.rows = says};
	struct dns_settings settings = {.servers_n = 1, .no_search = true, .channel_questions = 1};
	struct err err;
	struct dns *d;

	server_start(&s, loop);
	settings.servers[0] = s.at;
	d = dns_new(loop, &settings, &err);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(ask_once(loop, d).n, 1);
	dns_free(&d);
	io_del(&s.io);
	close(s.fd);
	loop_turn(loop, false);
	loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(families_choose_among_the_addresses),
	    cmocka_unit_test(an_open_question_is_answered_when_the_resolver_goes),
	    cmocka_unit_test(nobody_is_told_of_what_was_cancelled),
	    cmocka_unit_test(answers_say_how_long_they_hold_and_whether_they_failed),
	    cmocka_unit_test(a_server_that_comes_back_is_found_again),
	    cmocka_unit_test(a_channel_may_ask_so_often_and_not_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
