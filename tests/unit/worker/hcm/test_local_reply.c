/* Answers of our own: ordinary, gRPC, and to HEAD. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/hcm/local_reply.h"

static const struct {
	struct local_reply r;
	const char *status, *type, *length, *grpc_status, *grpc_message;
	size_t body;
} rows[] = {
    {{.status = 404}, "404", NULL, NULL, NULL, NULL, 0},
    {{.status = 503, .body = {"no healthy upstream", 19}}, "503", "text/plain", "19", NULL, NULL,
	19},
    {{.status = 503, .body = {"no healthy upstream", 19}, .head = true}, "503", "text/plain", "19",
	NULL, NULL, 0},
    {{.status = 400, .grpc = true}, "200", "application/grpc", NULL, "13", NULL, 0},
    {{.status = 401, .grpc = true}, "200", "application/grpc", NULL, "16", NULL, 0},
    {{.status = 403, .grpc = true}, "200", "application/grpc", NULL, "7", NULL, 0},
    {{.status = 404, .grpc = true}, "200", "application/grpc", NULL, "12", NULL, 0},
    {{.status = 429, .grpc = true}, "200", "application/grpc", NULL, "14", NULL, 0},
    {{.status = 502, .grpc = true}, "200", "application/grpc", NULL, "14", NULL, 0},
    {{.status = 503, .grpc = true}, "200", "application/grpc", NULL, "14", NULL, 0},
    {{.status = 504, .grpc = true}, "200", "application/grpc", NULL, "14", NULL, 0},
    {{.status = 500, .grpc = true}, "200", "application/grpc", NULL, "2", NULL, 0},
    {{.status = 503, .grpc = true, .body = {"100% \n", 6}}, "200", "application/grpc", NULL, "14",
	"100%25 %0A", 0},
};

static void
assert_header(const struct headers *h, const char *name, const char *value)
{
	struct str v = headers_get_name(h, str_of(name));

	if (value == NULL)
		assert_null(v.p);
	else
		assert_true(str_eqz(v, value));
}

static void
an_answer_has_the_shape_its_client_expects(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena a;
		struct headers h;
		struct buf body;

		arena_init(&a);
		headers_init(&h, &a);
		buf_init(&body);
		local_reply_write(&rows[i].r, &h, &body);
		assert_header(&h, ":status", rows[i].status);
		assert_header(&h, "content-type", rows[i].type);
		assert_header(&h, "content-length", rows[i].length);
		assert_header(&h, "grpc-status", rows[i].grpc_status);
		assert_header(&h, "grpc-message", rows[i].grpc_message);
		assert_int_equal(body.len, rows[i].body);
		buf_fini(&body);
		arena_fini(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_answer_has_the_shape_its_client_expects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
