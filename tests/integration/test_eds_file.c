/* Members from a file: moved into place, or behind a directory that is swapped. */
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "tests/integration/eds.h"

static void
write_file(struct scene *sc, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", sc->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
move_file(struct scene *sc, const char *from, const char *to)
{
	char a[128], b[128];

	snprintf(a, sizeof(a), "%s/%s", sc->dir, from);
	snprintf(b, sizeof(b), "%s/%s", sc->dir, to);
	assert_int_equal(rename(a, b), 0);
}

static char *
members_text(const char *version, uint16_t port)
{
	struct strb b = {0};

	strb_printf(&b,
	    "version_info: %s\n"
	    "resources:\n"
	    "- \"@type\": " PLANE_EDS_URL "\n"
	    "  cluster_name: api\n",
	    version);
	if (port)
		strb_printf(&b,
		    "  endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
		    "{address: 127.0.0.1, port_value: %u}}}}]}]\n",
		    port);
	return strb_give(&b);
}

static void
members_come_from_a_file_when_it_is_moved_into_place(void **state)
{
	struct eds_scene *e = *state;
	char *one = members_text("f1", e->sc.host_port[scene_origin(&e->sc, "one")]);
	char *none = members_text("f2", 0);

	write_file(&e->sc, "eds.yaml", one);
	scene_proxy(&e->sc,
	    CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	    "  - name: api\n"
	    "    type: EDS\n"
	    "    eds_cluster_config: {eds_config: {path_config_source: {path: \"@DIR@/eds.yaml\"}}}\n");
	assert_int_equal(scene_status(&e->sc, "/"), 200);

	write_file(&e->sc, "new.yaml", "resources: [{}]\n");
	move_file(&e->sc, "new.yaml", "eds.yaml");
	scene_wait_stat(&e->sc, "cluster.api.update_rejected", 1);
	assert_int_equal(scene_status(&e->sc, "/"), 200);

	write_file(&e->sc, "new.yaml", none);
	move_file(&e->sc, "new.yaml", "eds.yaml");
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
	write_file(&e->sc, "new.yaml", one);
	move_file(&e->sc, "new.yaml", "eds.yaml");
	WAIT_FOR(scene_status(&e->sc, "/") == 200);
	mem_free(one);
	mem_free(none);
}

/* As kubelet swaps the directory behind a volume. */
static void
a_watched_directory_tells_of_a_swap(void **state)
{
	struct eds_scene *e = *state;
	char *one = members_text("f1", e->sc.host_port[scene_origin(&e->sc, "one")]);
	char *none = members_text("f2", 0);
	char path[128];

	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/v%u", e->sc.dir, i);
		assert_int_equal(mkdir(path, 0700), 0);
		write_file(&e->sc, i ? "v1/eds.yaml" : "v0/eds.yaml", i ? none : one);
	}
	snprintf(path, sizeof(path), "%s/data", e->sc.dir);
	assert_int_equal(symlink("v0", path), 0);
	scene_proxy(&e->sc,
	    CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	    "  - name: api\n"
	    "    type: EDS\n"
	    "    eds_cluster_config:\n"
	    "      eds_config:\n"
	    "        path_config_source:\n"
	    "          path: \"@DIR@/data/eds.yaml\"\n"
	    "          watched_directory: {path: \"@DIR@\"}\n");
	assert_int_equal(scene_status(&e->sc, "/"), 200);
	snprintf(path, sizeof(path), "%s/data.new", e->sc.dir);
	assert_int_equal(symlink("v1", path), 0);
	move_file(&e->sc, "data.new", "data");
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
	mem_free(one);
	mem_free(none);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
	        members_come_from_a_file_when_it_is_moved_into_place, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_watched_directory_tells_of_a_swap, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
