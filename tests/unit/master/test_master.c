/* A generation's life with fake children: how it starts, why it does not, and how it ends. */
#include "tests/unit/master/scene.h"

static void
start_and_end_leave_nothing_behind(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	int pid;

	serve(s);
	assert_true(answered(client(s), &index, &pid, &descriptors));
	kill(s->master, SIGTERM);
	assert_int_equal(ended_with(s->master), 0);
	s->master = 0;
	assert_int_equal(rmdir(s->run), 0); /* it is empty */
}

static void
admin_that_cannot_start_ends_all_with_status_1(void **state)
{
	struct scene *s = *state;

	fake.admin_fails = true;
	assert_int_equal(ended_with(start_master(s)), 1);
	fake.admin_fails = false;
	fake.admin_crashes = true;
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "admin ended before start-up was complete");
}

static void
a_port_in_use_ends_the_start_with_its_reason(void **state)
{
	struct scene *s = *state;
	struct address a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(address_parse(&a, STR("127.0.0.1:0"), NULL), 0);
	assert_int_equal(bind(fd, &a.sa, a.len), 0);
	assert_int_equal(listen(fd, 1), 0);
	address_local(&a, fd);
	address_format(&a, fake.key);
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "Address already in use");
	close(fd);
}

static void
modes_that_do_not_serve_pass_on_admins_status(void **state)
{
	struct scene *s = *state;

	s->o.settings.mode = MODE_VALIDATE;
	assert_int_equal(ended_with(start_master(s)), 7);
	assert_int_equal(access(s->run, F_OK), -1); /* no runtime directory was needed */
	s->o.settings.mode = MODE_INIT_ONLY;
	assert_int_equal(ended_with(start_master(s)), 0);
}

static void
too_few_descriptors_are_named_at_the_start(void **state)
{
	struct scene *s = *state;

	s->descriptors = 20;
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "the limit of open files is 20");
}

static void
a_graceful_end_waits_for_workers_and_a_second_signal_does_not(void **state)
{
	struct scene *s = *state;

	fake.worker_stays = true;
	serve(s);
	kill(s->master, SIGTERM);
	await_ps(s, ": draining");
	kill(s->master, SIGTERM);
	assert_int_equal(ended_with(s->master), 0);
	s->master = 0;
}

static void
the_deadline_ends_what_does_not_end(void **state)
{
	struct scene *s = *state;

	fake.worker_stays = true;
	s->o.settings.shutdown_deadline_s = 1;
	serve(s);
	kill(s->master, SIGTERM);
	assert_int_equal(ended_with(s->master), 0);
	s->master = 0;
	await_log(s, "-> ending");
}

static void
health_fails_for_a_while_before_the_drain(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	int pid;

	s->o.settings.shutdown_health_wait_s = 20;
	serve(s);
	kill(s->master, SIGTERM);
	await_ps(s, "leaving rotation, out of rotation");
	assert_true(answered(client(s), &index, &pid, &descriptors));
	kill(s->master, SIGINT);
	assert_int_equal(ended_with(s->master), 0);
	s->master = 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(start_and_end_leave_nothing_behind),
	    SCENE(admin_that_cannot_start_ends_all_with_status_1),
	    SCENE(a_port_in_use_ends_the_start_with_its_reason),
	    SCENE(modes_that_do_not_serve_pass_on_admins_status),
	    SCENE(a_graceful_end_waits_for_workers_and_a_second_signal_does_not),
	    SCENE(the_deadline_ends_what_does_not_end),
	    SCENE(health_fails_for_a_while_before_the_drain),
	    SCENE(too_few_descriptors_are_named_at_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
