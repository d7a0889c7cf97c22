/* The first line is an expression, the rest a text; what compiles must match within its limits. */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make((const char *)data, size), pattern = {"", 0};
	struct str groups[4];
	struct regex *re;
	struct err err;

	str_cut(&text, '\n', &pattern);
	for (int mode = REGEX_FULL; mode <= REGEX_SEARCH; mode++) {
		re = regex_new(pattern, (enum regex_mode)mode, &err);
		if (re)
			regex_capture(re, text, groups, 4);
		regex_free(&re);
	}
	return 0;
}
