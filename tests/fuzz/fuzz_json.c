/* Any text as JSON: jansson's verdict and our scan over it must agree that it ends. */
#include <stddef.h>
#include <stdint.h>

#include "conf/diag.h"
#include "conf/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct document *doc;
	struct arena arena;
	struct diag diag;
	struct strb out = {0};

	arena_init(&arena);
	diag_init(&diag);
	json_parse(&arena, "fuzz.json", str_make((const char *)data, size), &doc, &diag);
	diag_print(&diag, &out, false);
	strb_fini(&out);
	diag_fini(&diag);
	arena_fini(&arena);
	return 0;
}
