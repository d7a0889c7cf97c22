#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "conf/message.h"
#include "conf/names.h"
#include "conf/resource.h"
#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "lib/base/err.h"

static void
a_record_comes_back_with_its_name_and_version(void **state)
{
	Envoy__Config__Cluster__V3__Cluster c = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__INIT, *back;
	struct strb one = {0}, two = {0};
	struct resource r, again;
	struct arena a;
	struct err err;

	arena_init(&a);
	c.name = "api";
	resource_write(&one, RESOURCE_CLUSTER, STR("api"), &c.base);
	assert_int_equal(resource_read(strb_str(&one), &r, &err), 0);
	assert_int_equal(r.kind, RESOURCE_CLUSTER);
	assert_false(r.removed);
	assert_true(str_eqz(r.name, "api"));
	back = (void *)resource_message(&a, &r, &err);
	assert_string_equal(back->name, "api");
	resource_write(&two, RESOURCE_CLUSTER, STR("api"), &c.base);
	resource_read(strb_str(&two), &again, &err);
	assert_true(r.version == again.version);
	strb_reset(&two);
	c.lb_policy = 1;
	resource_write(&two, RESOURCE_CLUSTER, STR("api"), &c.base);
	resource_read(strb_str(&two), &again, &err);
	assert_true(r.version != again.version);
	strb_reset(&two);
	resource_write_removed(&two, RESOURCE_LISTENER, STR("in"));
	assert_int_equal(resource_read(strb_str(&two), &again, &err), 0);
	assert_true(again.removed);
	assert_string_equal(resource_kind_name(again.kind), "listener");
	strb_fini(&one);
	strb_fini(&two);
	arena_fini(&a);
}

static void
records_that_do_not_fit_are_refused(void **state)
{
	Envoy__Config__Cluster__V3__Cluster c = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__INIT;
	struct strb bytes = {0};
	struct resource r;
	struct arena a;
	struct err err;

	arena_init(&a);
	c.name = "api";
	resource_write(&bytes, RESOURCE_CLUSTER, STR("api"), &c.base);
	for (size_t n = 0; n < bytes.n; n++)
		assert_int_equal(resource_read(str_make(bytes.p, n), &r, &err), -1);
	bytes.p[4] = (char)0xff; /* length of the name */
	assert_int_equal(resource_read(strb_str(&bytes), &r, &err), -1);
	bytes.p[4] = 3;
	bytes.p[0] = 99;
	assert_int_equal(resource_read(strb_str(&bytes), &r, &err), -1);
	bytes.p[0] = RESOURCE_LISTENER;
	bytes.p[bytes.n - 1] = (char)0xff;
	bytes.p[bytes.n - 4] = 0x77;
	assert_int_equal(resource_read(strb_str(&bytes), &r, &err), 0);
	assert_null(resource_message(&a, &r, &err));
	assert_non_null(strstr(err.text, "listener 'api'"));
	strb_fini(&bytes);
	arena_fini(&a);
}

static void
unnamed_listeners_are_called_by_their_address(void **state)
{
	Envoy__Config__Core__V3__SocketAddress s = ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__INIT;
	Envoy__Config__Core__V3__Address a = ENVOY__CONFIG__CORE__V3__ADDRESS__INIT;
	Envoy__Config__Listener__V3__Listener l = ENVOY__CONFIG__LISTENER__V3__LISTENER__INIT;
	char name[64];

	s.address = "::1";
	s.port_specifier_case = ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE;
	s.port_value = 80;
	a.address_case = ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS;
	a.socket_address = &s;
	l.address = &a;
	listener_name_write(&l, name, sizeof(name));
	assert_string_equal(name, "[::1]:80");
	s.address = "10.0.0.1";
	listener_name_write(&l, name, sizeof(name));
	assert_string_equal(name, "10.0.0.1:80");
	l.name = "in";
	listener_name_write(&l, name, sizeof(name));
	assert_string_equal(name, "in");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_record_comes_back_with_its_name_and_version),
	    cmocka_unit_test(records_that_do_not_fit_are_refused),
	    cmocka_unit_test(unnamed_listeners_are_called_by_their_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
