/* Children that die, hang or are silent, what clients notice of it, and what a child is given. */
#include "tests/unit/master/scene.h"

static void
a_killed_worker_is_replaced_and_queued_connections_are_answered(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	int fds[40], pid;
	pid_t victim;

	serve(s);
	victim = pid_of(s, "worker 1");
	kill(victim, SIGSTOP); /* so that its queue fills */
	for (size_t i = 0; i < 40; i++)
		fds[i] = client(s);
	kill(victim, SIGKILL);
	for (size_t i = 0; i < 40; i++)
		assert_true(answered(fds[i], &index, &pid, &descriptors));
	await_log(s, "worker 1: ended unasked");
	for (int i = 0; i < PATIENCE_S * 200 && pid_of(s, "worker 1") == victim; i++)
		usleep(5000);
	assert_int_not_equal(pid_of(s, "worker 1"), victim);
}

static void
a_silent_workers_queue_is_served_by_its_neighbour_and_it_comes_back(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	int pid;
	pid_t victim;

	serve(s);
	victim = pid_of(s, "worker 2");
	kill(victim, SIGSTOP);
	for (int i = 0; i < 40; i++) {
		assert_true(answered(client(s), &index, &pid, &descriptors));
		assert_int_equal(index, 1);
	}
	await_ps(s, "silent");
	kill(victim, SIGCONT);
	for (index = 1; index == 1;)
		assert_true(answered(client(s), &index, &pid, &descriptors));
	assert_int_equal(pid, victim);
}

static void
a_hung_worker_is_ended_and_replaced(void **state)
{
	struct scene *s = *state;
	pid_t victim;

	s->o.settings.watchdog_s = 1;
	serve(s);
	victim = pid_of(s, "worker 1");
	kill(victim, SIGSTOP);
	await_log(s, "worker 1: hangs");
	await_log(s, "worker 1: ended unasked");
	await_ps(s, "worker 1   pid");
	assert_int_not_equal(pid_of(s, "worker 1"), victim);
}

static void
a_crash_loop_backs_off_and_says_so(void **state)
{
	struct scene *s = *state;

	fake.worker_crashes = true;
	s->master = start_master(s);
	await_log(s, "starts again in 100 ms");
	await_log(s, "starts again in 800 ms");
	await_ps(s, "waiting for its turn, starts again after");
}

static void
admin_is_replaced_and_traffic_goes_on(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	const char *text;
	int pid;
	pid_t victim;

	serve(s);
	victim = pid_of(s, "admin");
	kill(victim, SIGKILL);
	assert_true(answered(client(s), &index, &pid, &descriptors));
	for (int i = 0; i < PATIENCE_S * 200; i++) {
		if (ask(s, "logging a b", &text) == 0)
			break;
		usleep(5000);
	}
	assert_string_equal(text, "logging a b");
	assert_int_not_equal(pid_of(s, "admin"), victim);
}

static void
children_have_no_descriptor_that_is_not_theirs(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	int pid;

	s->o.settings.concurrency = 4;
	serve(s);
	for (int i = 0; i < 8; i++) {
		assert_true(answered(client(s), &index, &pid, &descriptors));
		/* 0 1 2, channel, segment, control; its loop's; its sockets and the connection */
		assert_in_range(descriptors, 8, 13);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(a_killed_worker_is_replaced_and_queued_connections_are_answered),
	    SCENE(a_silent_workers_queue_is_served_by_its_neighbour_and_it_comes_back),
	    SCENE(a_hung_worker_is_ended_and_replaced),
	    SCENE(a_crash_loop_backs_off_and_says_so),
	    SCENE(admin_is_replaced_and_traffic_goes_on),
	    SCENE(children_have_no_descriptor_that_is_not_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
