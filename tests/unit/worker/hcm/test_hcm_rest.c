/*
 * Many connections at rest: those used last keep what they work with, the
 * others give it back, and nobody on the other side can tell which is which.
 */
#include "tests/unit/worker/world.h"

#define CROWD 100u

struct crowd {
	struct world w;
	int fd[CROWD];
};

static void
ask(struct crowd *c, unsigned i)
{
	static const char text[] = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";

	c->w.client = c->fd[i];
	strb_reset(&c->w.got);
	say(&c->w, text);
	c->w.client = -1;
	if (!has(&c->w, "200 OK"))
		fail_msg("connection %u was not answered: %s", i, strb_z(&c->w.got));
}

static unsigned
warm(const struct crowd *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WARM_CONNS; i++)
		n += c->w.hcm.warm[i] != NULL;
	return n;
}

static void
gather(struct crowd *c, const char *yaml)
{
	start(&c->w, yaml);
	for (unsigned i = 0; i < CROWD; i++) {
		dial(&c->w);
		c->fd[i] = c->w.client;
		c->w.client = -1;
	}
}

static void
leave(struct crowd *c)
{
	for (unsigned i = 0; i < CROWD; i++)
		close(c->fd[i]);
	turn(&c->w);
	assert_int_equal(c->w.hcm.held, 0);
	assert_int_equal(warm(c), 0);
	assert_int_equal(stat_gauge_value(stats(&c->w)->downstream_cx_active.raw), 0);
	finish(&c->w);
}

static void
a_crowd_is_answered_again_and_again(void **state)
{
	struct crowd c;

	gather(&c, "");
	turn(&c.w);
	assert_int_equal(warm(&c), 0);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < CROWD; i++)
			ask(&c, i);
	assert_int_equal(warm(&c), WARM_CONNS);
	assert_int_equal(c.w.hcm.held, CROWD);
	assert_int_equal(stat_gauge_value(stats(&c.w)->downstream_cx_http1_active.raw), CROWD);
	assert_int_equal(stat_gauge_value(stats(&c.w)->downstream_cx_rx_bytes_buffered.raw), 0);
	assert_int_equal(stat_gauge_value(stats(&c.w)->downstream_cx_tx_bytes_buffered.raw), 0);
	leave(&c);
}

static void
requests_that_come_at_once_are_answered_at_once(void **state)
{
	static const char text[] = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
	struct crowd c;

	gather(&c, "");
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < CROWD; i++)
			assert_int_equal(write(c.fd[i], text, strlen(text)), strlen(text));
		turn(&c.w);
		for (unsigned i = 0; i < CROWD; i++) {
			char got[512];

			assert_true(read(c.fd[i], got, sizeof(got)) > 0);
			assert_memory_equal(got, "HTTP/1.1 200 OK", 15);
		}
	}
	assert_int_equal(warm(&c), WARM_CONNS);
	leave(&c);
}

static void
a_head_in_pieces_wakes_one_at_rest_once(void **state)
{
	struct crowd c;

	gather(&c, "");
	for (unsigned i = 0; i < CROWD; i++)
		ask(&c, i);
	c.w.client = c.fd[0];
	strb_reset(&c.w.got);
	say(&c.w, "GET /he");
	for (unsigned i = 1; i < CROWD; i++) {
		struct strb mine = c.w.got;

		c.w.got = (struct strb){0};
		ask(&c, i);
		strb_fini(&c.w.got);
		c.w.got = mine;
	}
	c.w.client = c.fd[0];
	say(&c.w, "llo HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_true(has(&c.w, "200 OK"));
	c.w.client = -1;
	leave(&c);
}

static void
idle_timeouts_end_all_of_them(void **state)
{
	struct crowd c;
	uint64_t timeouts;

	gather(&c, "          common_http_protocol_options: { idle_timeout: 10s }\n");
	timeouts = stats(&c.w)->downstream_cx_idle_timeout.raw;
	for (unsigned i = 0; i < CROWD; i++)
		ask(&c, i);
	set_time(&c.w, 10100);
	turn(&c.w);
	for (unsigned i = 0; i < CROWD; i++) {
		char byte;

		assert_int_equal(read(c.fd[i], &byte, 1), 0);
	}
	assert_counted(&c.w, downstream_cx_idle_timeout, timeouts, CROWD);
	leave(&c);
}

/* Whoever is given away: of those that keep everything, of the others, and of those never asked. */
static void
all_of_them_may_be_given_and_taken(void **state)
{
	struct crowd c;
	struct hcm_given given[CROWD];
	struct hcm_conn *idle;
	int fd[CROWD];
	unsigned n = 0;

	gather(&c, "");
	for (unsigned i = 0; i < CROWD - 10; i++)
		ask(&c, i);
	for (; (idle = hcm_next_idle(&c.w.hcm)) != NULL; n++) {
		assert_true(n < CROWD);
		fd[n] = hcm_give(idle, &given[n]);
	}
	turn(&c.w);
	assert_int_equal(n, CROWD);
	assert_int_equal(c.w.hcm.held, 0);
	assert_int_equal(warm(&c), 0);
	for (unsigned i = 0; i < CROWD; i++)
		hcm_take(&c.w.hcm, &c.w.place, fd[i], &given[i]);
	for (unsigned i = 0; i < CROWD; i++)
		ask(&c, i);
	leave(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_crowd_is_answered_again_and_again),
	    cmocka_unit_test(requests_that_come_at_once_are_answered_at_once),
	    cmocka_unit_test(a_head_in_pieces_wakes_one_at_rest_once),
	    cmocka_unit_test(idle_timeouts_end_all_of_them),
	    cmocka_unit_test(all_of_them_may_be_given_and_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
