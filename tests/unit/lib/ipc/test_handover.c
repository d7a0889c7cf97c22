/* Packets between generations: what is said arrives, what is unknown is skipped. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/ipc/frame.h"
#include "lib/ipc/handover.h"

static void
words_fields_and_a_descriptor_arrive(void **state)
{
	struct strb b = {0};
	struct handover_packet p;
	char room[4096];
	int pair[2], fd = open("/dev/null", O_RDONLY);

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	handover_begin(&b, HANDOVER_SOCKET);
	handover_put_s(&b, FIELD_KEY, STR("127.0.0.1:80"));
	handover_put_u(&b, FIELD_INDEX, 7);
	assert_int_equal(handover_send(pair[0], &b, fd), 1);
	assert_true(handover_receive(pair[1], room, sizeof(room), &p) > 0);
	assert_int_equal(p.word, HANDOVER_SOCKET);
	assert_true(str_eqz(handover_s(&p, FIELD_KEY), "127.0.0.1:80"));
	assert_int_equal(handover_u(&p, FIELD_INDEX), 7);
	assert_int_equal(handover_u(&p, FIELD_FLAGS), 0);
	assert_int_equal(handover_s(&p, FIELD_TEXT).n, 0);
	assert_true(p.fd >= 0 && p.fd != fd);
	close(p.fd);
	assert_int_equal(handover_receive(pair[1], room, sizeof(room), &p), -1);
	close(pair[0]);
	assert_int_equal(handover_receive(pair[1], room, sizeof(room), &p), 0);
	close(pair[1]);
	close(fd);
	strb_fini(&b);
}

static void
what_a_newer_partner_adds_is_skipped(void **state)
{
	struct strb b = {0};
	struct handover_packet p;

	frame_put(&b, 61, STR("a word of tomorrow"));
	frame_put(&b, 95, STR("a field of tomorrow"));
	frame_put(&b, 4000, STR("and one far away"));
	handover_put_u(&b, FIELD_EPOCH, 3);
	handover_parse(&p, strb_str(&b));
	assert_int_equal(p.word, 61);
	assert_int_equal(handover_u(&p, FIELD_EPOCH), 3);
	strb_fini(&b);
}

static void
a_packet_that_is_cut_off_says_nothing(void **state)
{
	struct strb b = {0};
	struct handover_packet p;

	handover_begin(&b, HANDOVER_HELLO);
	handover_put_u(&b, FIELD_EPOCH, 3);
	for (size_t n = 0; n < b.n; n++) {
		handover_parse(&p, str_make(b.p, n));
		if (n != 8) /* the word alone is whole */
			assert_int_equal(p.word, 0);
	}
	frame_put(&b, FIELD_PID, STR("shrt")); /* a number of four bytes */
	handover_parse(&p, strb_str(&b));
	assert_int_equal(p.word, HANDOVER_HELLO);
	assert_int_equal(handover_u(&p, FIELD_PID), 0);
	strb_fini(&b);
}

static void
no_number_means_two_things(void **state)
{
	static const unsigned numbers[] = {
#define WORD(number, name, who, text) number,
#include "lib/ipc/handover.def"
#undef WORD
#define FIELD(number, name, kind, text) number,
#include "lib/ipc/handover.def"
#undef FIELD
	};
	bool seen[HANDOVER_FIRST_FIELD + HANDOVER_FIELDS] = {false};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_true(numbers[i] < sizeof(seen));
		assert_false(seen[numbers[i]]);
		seen[numbers[i]] = true;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_fields_and_a_descriptor_arrive),
	    cmocka_unit_test(what_a_newer_partner_adds_is_skipped),
	    cmocka_unit_test(no_number_means_two_things),
	    cmocka_unit_test(a_packet_that_is_cut_off_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
