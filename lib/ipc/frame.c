#include "lib/ipc/frame.h"

#include <stdint.h>

struct frame_head {
	uint16_t type, reserved;
	uint32_t n;
};

void
frame_put(struct strb *out, unsigned type, struct str value)
{
	struct frame_head h = {.type = (uint16_t)type, .n = (uint32_t)value.n};

	strb_add(out, &h, sizeof(h));
	strb_adds(out, value);
}

int
frame_next(struct str *packet, unsigned *type, struct str *value)
{
	struct frame_head h;

	if (packet->n == 0)
		return 0;
	if (packet->n < sizeof(h))
		return -1;
	memcpy(&h, packet->p, sizeof(h));
	if (packet->n - sizeof(h) < h.n)
		return -1;
	*type = h.type;
	*value = str_make(packet->p + sizeof(h), h.n);
	packet->p += sizeof(h) + h.n;
	packet->n -= sizeof(h) + h.n;
	return 1;
}
