/* Any text as a YAML bootstrap: loaded, checked and, when accepted, dumped. */
#include <stddef.h>
#include <stdint.h>

#include "conf/diag.h"
#include "conf/dump.h"
#include "conf/load.h"
#include "lib/base/json_out.h"
#include "lib/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size);
	struct conf_source src = {.inline_yaml = text, .allow_unknown_fields = size % 2};
	struct dump_options options = {.defaults = size % 3 == 0};
	struct strb out = {0};
	struct diag diag;
	struct conf *conf;
	struct json_out j;

	diag_init(&diag);
	if (conf_load(&conf, &src, &diag) == 0) {
		json_out_init(&j, &out, true);
		conf_dump(&j, &conf_bootstrap(conf)->base, &options);
		conf_free(&conf);
	}
	diag_print(&diag, &out, false);
	strb_fini(&out);
	diag_fini(&diag);
	mem_free(text);
	return 0;
}
