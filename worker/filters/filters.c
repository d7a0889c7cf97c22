/* The list of HTTP filters (filters.def), by name and by message type. */
#include "lib/base/assert.h"
#include "lib/base/str.h"
#include "worker/hcm/http_filter.h"

#define FILTER(constant) extern const struct http_filter constant;
#include "worker/filters/filters.def"
#undef FILTER

static const struct http_filter *const filters[] = {
#define FILTER(constant) &constant,
#include "worker/filters/filters.def"
#undef FILTER
};

const struct http_filter *
http_filter_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(filters); i++)
		if (strcmp(filters[i]->name, name) == 0)
			return filters[i];
	return NULL;
}

const struct http_filter *
http_filter_by_type(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(filters); i++)
		if (strcmp(filters[i]->type, type) == 0)
			return filters[i];
	return NULL;
}
