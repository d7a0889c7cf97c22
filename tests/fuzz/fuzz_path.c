/*
 * Random paths, queries and values: what was normalised stays as it is
 * when normalised again, holds no dot segment, and nothing new appears
 * that an upstream could decode to one.
 */
#include <stdlib.h>

#include "lib/base/assert.h"
#include "lib/http/grpc.h"
#include "lib/http/path.h"
#include "lib/http/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_normal(struct arena *a, struct str path)
{
	struct str again = path, only = path_only(path), segment;

	ASSERT(path_normalize(a, &again));
	ASSERT(str_eq(again, path));
	while (str_cut(&only, '/', &segment)) {
		ASSERT(!str_eqz(segment, ".") && !str_eqz(segment, ".."));
		ASSERT(!str_ieqz(segment, "%2e") && !str_ieqz(segment, "%2e%2e"));
	}
}

static void
check_queries(struct arena *a, struct str path)
{
	struct str query = path_query(path), name, value;

	while (query_next(&query, &name, &value)) {
		ASSERT(percent_decode(a, name).n <= name.n);
		ASSERT(query_find(path_query(path), name, &value));
	}
}

static void
check_words(struct arena *a, struct str s)
{
	uint64_t ms;

	valid_authority(s);
	valid_target(s);
	if (grpc_timeout_parse(s, &ms)) {
		uint64_t again;

		ASSERT(grpc_timeout_parse(grpc_timeout_format(a, ms), &again) && again <= ms);
	}
	ASSERT(valid_value(grpc_message_encode(a, s)));
	ASSERT(valid_value(s) == (value_span(s.p, s.n) == s.n));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct path_options o;
	struct arena arena;
	struct str path;

	if (n == 0)
		return 0;
	arena_init(&arena);
	o = (struct path_options){
	    data[0] & 1, data[0] & 2, (enum escaped_slashes)(data[0] >> 2 & 3)};
	path = str_make((const char *)data + 1, n - 1);
	check_queries(&arena, path);
	check_words(&arena, path);
	if (path_apply(&o, &arena, &path) != PATH_BAD && o.normalize)
		check_normal(&arena, path);
	arena_fini(&arena);
	return 0;
}
