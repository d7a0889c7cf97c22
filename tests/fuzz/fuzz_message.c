/* Any bytes as a packed bootstrap or a journal record: unpacked, checked, dumped, packed again. */
#include <stddef.h>
#include <stdint.h>

#include "conf/check.h"
#include "conf/diag.h"
#include "conf/dump.h"
#include "conf/message.h"
#include "conf/resource.h"
#include "conf/where.h"
#include "lib/base/err.h"
#include "lib/base/json_out.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
use(struct arena *a, ProtobufCMessage *m)
{
	struct check c = {.arena = a};
	struct where w = {.index = -1};
	struct dump_options options = {0};
	struct strb out = {0};
	struct json_out j;
	struct diag diag;

	diag_init(&diag);
	c.diag = &diag;
	check_message(&c, m, &w);
	check_fini(&c);
	if (diag.errors == 0) {
		json_out_init(&j, &out, false);
		conf_dump(&j, m, &options);
	}
	message_pack(m, &out);
	strb_fini(&out);
	diag_fini(&diag);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = str_make((const char *)data, size);
	struct resource r;
	struct arena arena;
	struct err err;
	ProtobufCMessage *m;

	arena_init(&arena);
	if (resource_read(bytes, &r, &err) == 0)
		m = resource_message(&arena, &r, &err);
	else
		m = message_unpack(&arena, resource_descriptor(RESOURCE_BOOTSTRAP), bytes, &err);
	if (m)
		use(&arena, m);
	arena_fini(&arena);
	return 0;
}
