/* Packets of the control socket and fields of messages: whatever comes, nothing is read beyond it. */
#include <stddef.h>
#include <stdint.h>

#include "lib/ipc/channel.h"
#include "lib/ipc/control.h"
#include "lib/ipc/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = str_make((const char *)data, size);
	struct control_request r;
	enum control_command command;
	struct strb text = {0};
	unsigned status = 0;
	int fd = -1;
	struct message_view v = {.rest = bytes, .fd = &fd};
	struct handover_packet p;
	struct err err;

	if (control_request_read(&r, bytes, &err) == 0)
		control_find(&r, &command, &err);
	control_answer_read(bytes, &status, &text);
	strb_fini(&text);
	handover_parse(&p, bytes);
	for (unsigned f = HANDOVER_FIRST_FIELD; f < HANDOVER_FIRST_FIELD + HANDOVER_FIELDS; f++) {
		handover_u(&p, (enum handover_field)f);
		handover_s(&p, (enum handover_field)f);
	}
	while (v.rest.n) {
		message_get_u(&v);
		message_get_s(&v);
		if (v.rest.n < 4)
			break;
	}
	return 0;
}
