#include "shm/paths.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

void
path_runtime_dir(struct strb *out, const char *option)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (option && *option)
		strb_addz(out, option);
	else if (geteuid() == 0)
		strb_addz(out, "/run/baton");
	else if (xdg && xdg[0] == '/')
		strb_printf(out, "%s/baton", xdg);
	else
		strb_printf(out, "/tmp/baton-%u", (unsigned)geteuid());
}

void
path_base(struct strb *out, const char *option, uint64_t base_id)
{
	path_runtime_dir(out, option);
	strb_printf(out, "/%" PRIu64, base_id);
}

void
path_shm_dir(struct strb *out)
{
	strb_printf(out, "/dev/shm/baton-%u", (unsigned)geteuid());
}

void
path_generation(struct strb *out, uint64_t generation)
{
	strb_printf(out, "g%" PRIu64, generation);
}

bool
path_parse_generation(const char *name, uint64_t *generation)
{
	return name[0] == 'g' && str_u64(str_of(name + 1), generation);
}
