#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "conf/near.h"
#include "conf/where.h"

static void
slips_are_found_and_strangers_are_not(void **state)
{
	static const char *const names[] = {
	    "connect_timeout", "cluster", "clusters", "id", "route"};
	static const struct {
		const char *wrote, *meant;
	} rows[] = {
	    {"conect_timeout", "connect_timeout"},
	    {"connectTimeout", "connect_timeout"},
	    {"Cluster", "cluster"},
	    {"clutser", "cluster"},
	    {"clusterss", "clusters"},
	    {"idd", "id"},
	    {"connect-timeout", "connect_timeout"},
	    {"ruote", "route"},
	    {"bananas", NULL},
	    {"", NULL},
	    {"x", NULL},
	};
	char huge[300];
	struct near near;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		near_init(&near, str_of(rows[i].wrote));
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
			near_offer(&near, names[k]);
		if (!rows[i].meant && near.best)
			fail_msg("'%s' is not near '%s'", near.best, rows[i].wrote);
		if (rows[i].meant)
			assert_string_equal(near.best ? near.best : "(none)", rows[i].meant);
	}
	memset(huge, 'a', sizeof(huge));
	near_init(&near, str_make(huge, sizeof(huge)));
	near_offer(&near, "a");
	assert_null(near.best);
}

static void
the_json_name_is_made_from_the_field_name(void **state)
{
	static const struct {
		const char *field, *key;
		bool same;
	} rows[] = {
	    {"connect_timeout", "connect_timeout", true},
	    {"connect_timeout", "connectTimeout", true},
	    {"connect_timeout", "ConnectTimeout", false},
	    {"connect_timeout", "connecttimeout", false},
	    {"connect_timeout", "connect_Timeout", false},
	    {"http2_protocol_options", "http2ProtocolOptions", true},
	    {"proxy_100_continue", "proxy100Continue", true},
	    {"accept_http_10", "acceptHttp10", true},
	    {"name", "Name", false},
	    {"name", "nam", false},
	    {"name", "names", false},
	    {"via", "", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(field_is_called(rows[i].field, str_of(rows[i].key)), rows[i].same);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slips_are_found_and_strangers_are_not),
	    cmocka_unit_test(the_json_name_is_made_from_the_field_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
