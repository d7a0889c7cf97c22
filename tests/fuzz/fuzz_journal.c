/* A journal with any content behind its magic: lengths that lie are refused, never followed. */
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/ipc/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct journal_state state;
	struct journal_map map;
	uint64_t sum = 0;

	if (fd < 0 || write(fd, "BTNJRNL1", 8) != 8 || write(fd, data, size) != (ssize_t)size)
		__builtin_trap();
	if (journal_map(&map, fd, 8 + size, NULL) == 0) {
		if (journal_read(&map, &state, NULL) == 0) {
			for (size_t i = 0; i < state.live.len; i++) {
				const struct journal_record *r = &state.live.at[i];

				sum += r->name.n + r->version.n + r->bytes.n;
				if (r->bytes.n)
					sum += (unsigned char)r->bytes.p[r->bytes.n - 1];
			}
			journal_state_fini(&state);
		}
		journal_unmap(&map);
	}
	close(fd);
	return sum == UINT64_MAX;
}
