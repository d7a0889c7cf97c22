/* Listening sockets: who gets which, who is lent which, and what comes back. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/ipc/listen.h"
#include "lib/net/address.h"
#include "lib/net/socket.h"
#include "master/sockets.h"

static char journal[4096]; /* what was given: "+w:i" own, "~w:i" lent, "-w:i" back */

static void
give(void *arg, unsigned worker, const struct socket_at *at, bool lent)
{
	size_t n = strlen(journal);

	assert_true(at->fd >= 0);
	snprintf(journal + n, sizeof(journal) - n, "%s%u:%u%s ", lent ? "~" : "+", worker, at->index,
	    at->flags & LISTEN_HANDED ? "h" : "");
}

static void
take_back(void *arg, unsigned worker, struct str key, unsigned index)
{
	size_t n = strlen(journal);

	snprintf(journal + n, sizeof(journal) - n, "-%u:%u ", worker, index);
}

static const struct sockets_events events = {give, take_back};

#define assert_given(want)                                                                         \
	do {                                                                                       \
		assert_string_equal(journal, want);                                                \
		journal[0] = '\0';                                                                 \
	} while (0)

static struct sockets *
open_three(uint64_t flags)
{
	struct sockets *s = sockets_new(3, &events, NULL);
	struct listen_request q = {.key = STR("127.0.0.1:0#x"), .flags = flags};
	struct strb bound = {0};

	journal[0] = '\0';
	assert_int_equal(sockets_listen(s, &q, &bound, NULL), 0);
	assert_true(str_starts(strb_str(&bound), STR("127.0.0.1:")));
	assert_false(str_ends(strb_str(&bound), STR(":0")));
	strb_fini(&bound);
	return s;
}

static void
each_worker_gets_its_own_and_those_of_the_absent(void **state)
{
	struct sockets *s = open_three(LISTEN_REUSE_PORT);

	sockets_worker_came(s, 1);
	assert_given("+1:0 ~1:1 ~1:2 ");
	sockets_worker_came(s, 2);
	assert_given("+2:1 -1:1 ");
	sockets_worker_came(s, 3);
	assert_given("+3:2 -1:2 ");
	sockets_free(&s, true);
}

static void
a_dead_workers_sockets_are_lent_until_its_successor_is_ready(void **state)
{
	struct sockets *s = open_three(LISTEN_REUSE_PORT);

	for (unsigned w = 1; w <= 3; w++)
		sockets_worker_came(s, w);
	journal[0] = '\0';
	sockets_worker_ended(s, 2);
	assert_given("~3:1 ");
	sockets_worker_ended(s, 3); /* with its own and what it was lent */
	assert_given("~1:1 ~1:2 ");
	sockets_worker_came(s, 2);
	assert_given("+2:1 -1:1 ");
	sockets_worker_came(s, 3);
	assert_given("+3:2 -1:2 ");
	sockets_free(&s, true);
}

static void
a_silent_worker_keeps_its_own_while_a_neighbour_helps(void **state)
{
	struct sockets *s = open_three(LISTEN_REUSE_PORT);

	for (unsigned w = 1; w <= 3; w++)
		sockets_worker_came(s, w);
	journal[0] = '\0';
	sockets_worker_silent(s, 1);
	assert_given("~2:0 ");
	sockets_worker_silent(s, 2);
	assert_given("-2:0 ~3:0 ~3:1 ");
	sockets_worker_silent(s, 3); /* nobody is left: everything stays where it is */
	assert_given("");
	sockets_worker_awake(s, 3);
	assert_given("");
	sockets_worker_awake(s, 1);
	assert_given("-3:0 ");
	sockets_free(&s, true);
}

static void
a_shared_socket_goes_to_everybody_and_is_never_lent(void **state)
{
	struct sockets *s = open_three(0);

	sockets_worker_came(s, 1);
	sockets_worker_came(s, 2);
	assert_given("+1:0 +2:0 ");
	sockets_worker_ended(s, 1);
	assert_given("");
	sockets_worker_came(s, 1);
	assert_given("+1:0 ");
	sockets_free(&s, true);
}

static void
the_admin_port_goes_to_admin_only(void **state)
{
	struct sockets *s = open_three(LISTEN_ADMIN);

	sockets_worker_came(s, 1);
	assert_given("");
	sockets_give_admin(s, STR("127.0.0.1:0#x"));
	assert_given("+0:0 ");
	sockets_free(&s, true);
}

static void
a_new_address_goes_to_the_workers_that_are_here(void **state)
{
	struct sockets *s = sockets_new(2, &events, NULL);
	struct listen_request q = {.key = STR("127.0.0.1:0#y"), .flags = LISTEN_REUSE_PORT};
	struct strb bound = {0}, again = {0};

	journal[0] = '\0';
	sockets_worker_came(s, 2);
	assert_int_equal(sockets_listen(s, &q, &bound, NULL), 0);
	assert_given("+2:1 ~2:0 ");
	assert_int_equal(sockets_listen(s, &q, &again, NULL), 0); /* asked again: the same row */
	assert_true(str_eq(strb_str(&bound), strb_str(&again)));
	assert_given("");
	assert_int_equal(sockets_rows(s), 1);
	sockets_unlisten(s, q.key);
	assert_int_equal(sockets_rows(s), 0);
	sockets_free(&s, true);
	strb_fini(&bound);
	strb_fini(&again);
}

static void
a_port_in_use_is_an_error_even_when_the_other_reuses_ports(void **state)
{
	struct sockets *mine = sockets_new(2, &events, NULL), *other = open_three(LISTEN_REUSE_PORT);
	struct strb bound = {0}, nothing = {0};
	struct err err = {""};
	struct listen_request q = {.key = STR("127.0.0.1:0#x"), .flags = LISTEN_REUSE_PORT};

	assert_int_equal(sockets_listen(other, &q, &bound, NULL), 0);
	q.key = strb_str(&bound);
	assert_int_equal(sockets_listen(mine, &q, &nothing, &err), -1);
	assert_non_null(strstr(err.text, "in use"));
	assert_int_equal(sockets_rows(mine), 0);
	sockets_free(&mine, true);
	sockets_free(&other, true);
	strb_fini(&bound);
}

static void
what_admin_asks_is_checked_again(void **state)
{
	static const struct listen_request rows[] = {
	    {.key = {"nonsense", 8}},
	    {.key = {"127.0.0.1:0", 11}, .flags = 1u << 20},
	    {.key = {"127.0.0.1:0", 11}, .mode = 07777},
	    {.key = {"127.0.0.1:0", 11}, .backlog = 1ull << 40},
	};
	struct sockets *s = sockets_new(1, &events, NULL);
	struct strb bound = {0};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(sockets_listen(s, &rows[i], &bound, NULL), -1);
	sockets_free(&s, true);
}

static void
a_unix_path_is_shared_and_removed_at_the_end(void **state)
{
	char dir[] = "/tmp/baton-test-XXXXXX", path[64];
	struct sockets *s = sockets_new(2, &events, NULL);
	struct listen_request q = {.flags = LISTEN_REUSE_PORT, .mode = 0660};
	struct strb bound = {0};

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s#1", dir);
	q.key = str_of(path);
	journal[0] = '\0';
	sockets_worker_came(s, 1);
	sockets_worker_came(s, 2);
	assert_int_equal(sockets_listen(s, &q, &bound, NULL), 0);
	assert_given("+1:0 +2:0 ");
	assert_string_equal(strb_z(&bound), path);
	assert_int_equal(access(path, F_OK), 0);
	sockets_free(&s, true);
	assert_int_equal(access(path, F_OK), -1);
	rmdir(dir);
	strb_fini(&bound);
}

/* A socket that listens at this address, as a service manager makes it; its port in *port. */
static int
made_elsewhere(const char *address, uint16_t *port)
{
	struct socket_options o = {0};
	struct address a;
	int fd;

	assert_int_equal(address_parse(&a, str_of(address), NULL), 0);
	fd = socket_bind(&a, &o, NULL);
	assert_int_equal(socket_listen(fd, &o, NULL), 0);
	address_local(&a, fd);
	*port = address_is_ip(&a) ? address_port(&a) : 0;
	return fd;
}

static void
a_handed_socket_is_used_and_others_join_it(void **state)
{
	struct sockets *s = sockets_new(3, &events, NULL);
	uint16_t port, unused;
	int fd = made_elsewhere("127.0.0.1:0", &port), strange = made_elsewhere("127.0.0.1:0", &unused);
	char key[32];
	struct listen_request q = {.flags = LISTEN_REUSE_PORT};
	struct strb bound = {0};
	struct socket_at at;

	journal[0] = '\0';
	assert_int_equal(sockets_hand(s, strange, STR("strange"), NULL), 0);
	assert_int_equal(sockets_hand(s, fd, STR("web"), NULL), 0);
	snprintf(key, sizeof(key), "127.0.0.1:%u", port);
	q.key = str_of(key);
	sockets_worker_came(s, 1);
	assert_int_equal(sockets_listen(s, &q, &bound, NULL), 0);
	assert_given("+1:0h ~1:1 ~1:2 ");
	assert_true(sockets_each(s, 0, &at));
	assert_int_equal(at.fd, fd);
	assert_int_equal(at.flags, LISTEN_REUSE_PORT | LISTEN_HANDED);
	sockets_drop_handed(s);
	assert_int_equal(fcntl(strange, F_GETFD), -1);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	strb_fini(&bound);
	sockets_free(&s, true);
}

static void
the_path_of_a_handed_socket_stays(void **state)
{
	struct sockets *s = sockets_new(2, &events, NULL);
	struct listen_request q = {.key = STR("/tmp/baton-test-handed.sock")};
	struct strb bound = {0};
	uint16_t none;

	unlink(q.key.p);
	assert_int_equal(sockets_hand(s, made_elsewhere(q.key.p, &none), STR(""), NULL), 0);
	assert_int_equal(sockets_listen(s, &q, &bound, NULL), 0);
	strb_fini(&bound);
	sockets_free(&s, true);
	assert_int_equal(unlink(q.key.p), 0);
}

static void
a_handed_socket_stays_one_in_the_next_generation(void **state)
{
	struct sockets *s = sockets_new(1, &events, NULL);
	struct listen_request q = {.flags = LISTEN_REUSE_PORT};
	struct strb bound = {0};
	char key[32];
	uint16_t port;
	int fd = made_elsewhere("127.0.0.1:0", &port);

	journal[0] = '\0';
	snprintf(key, sizeof(key), "127.0.0.1:%u", port);
	q.key = str_of(key);
	assert_int_equal(
	    sockets_inherit(s, q.key, LISTEN_REUSE_PORT | LISTEN_HANDED, fd, NULL), 0);
	assert_int_equal(sockets_listen(s, &q, &bound, NULL), 0);
	sockets_worker_came(s, 1);
	assert_given("+1:0h ");
	strb_fini(&bound);
	sockets_free(&s, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_worker_gets_its_own_and_those_of_the_absent),
	    cmocka_unit_test(a_dead_workers_sockets_are_lent_until_its_successor_is_ready),
	    cmocka_unit_test(a_silent_worker_keeps_its_own_while_a_neighbour_helps),
	    cmocka_unit_test(a_shared_socket_goes_to_everybody_and_is_never_lent),
	    cmocka_unit_test(the_admin_port_goes_to_admin_only),
	    cmocka_unit_test(a_new_address_goes_to_the_workers_that_are_here),
	    cmocka_unit_test(a_port_in_use_is_an_error_even_when_the_other_reuses_ports),
	    cmocka_unit_test(what_admin_asks_is_checked_again),
	    cmocka_unit_test(a_unix_path_is_shared_and_removed_at_the_end),
	    cmocka_unit_test(a_handed_socket_is_used_and_others_join_it),
	    cmocka_unit_test(the_path_of_a_handed_socket_stays),
	    cmocka_unit_test(a_handed_socket_stays_one_in_the_next_generation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
