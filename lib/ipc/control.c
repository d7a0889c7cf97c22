#include "lib/ipc/control.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/ipc/frame.h"

enum frame_type {
	FRAME_WORD = 1,
	FRAME_JSON = 2,
	FRAME_STATUS = 3,
	FRAME_TEXT = 4,
};

#define WHO_MASTER false
#define WHO_ADMIN true

const struct control_row control_rows[CONTROL_COMMANDS] = {
#define COMMAND(id, name, least, most, who, arguments, text)                                       \
	{name, least, most, WHO_##who, arguments, text},
#include "lib/ipc/control.def"
#undef COMMAND
};

void
control_request_write(struct strb *out, const struct control_request *r)
{
	for (unsigned i = 0; i < r->n; i++)
		frame_put(out, FRAME_WORD, r->words[i]);
	if (r->json)
		frame_put(out, FRAME_JSON, STR(""));
}

int
control_request_read(struct control_request *r, struct str packet, struct err *err)
{
	struct str value;
	unsigned type;
	int more;

	*r = (struct control_request){0};
	while ((more = frame_next(&packet, &type, &value)) > 0) {
		if (type == FRAME_JSON)
			r->json = true;
		if (type != FRAME_WORD)
			continue;
		if (r->n == CONTROL_WORDS)
			return err_set(err, "too many words");
		r->words[r->n++] = value;
	}
	if (more < 0)
		return err_set(err, "the request is cut off");
	return r->n ? 0 : err_set(err, "there is no command");
}

int
control_find(const struct control_request *r, enum control_command *out, struct err *err)
{
	for (unsigned i = 0; i < CONTROL_COMMANDS; i++) {
		const struct control_row *row = &control_rows[i];

		if (!str_eqz(r->words[0], row->name))
			continue;
		if (r->n - 1 < row->least || r->n - 1 > row->most)
			return err_set(err, "usage: %s %s", row->name, row->arguments);
		*out = (enum control_command)i;
		return 0;
	}
	return err_set(err, "unknown command '" STR_FMT "'", STR_ARG(r->words[0]));
}

/* ---- answers */

static bool
send_packet(int fd, struct str packet)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	for (int tries = 0; tries < 4; tries++) {
		if (send(fd, packet.p, packet.n, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return true;
		if (errno != EAGAIN && errno != EINTR)
			return false;
		/* Only a caller that reads nothing gets here; it is given up soon. */
		poll(&p, 1, 5);
	}
	return false;
}

bool
control_answer(int fd, unsigned status, struct str text)
{
	const size_t piece = CONTROL_PACKET - 64;
	struct strb b = {0};
	uint32_t code = status;
	bool ok;

	frame_put(&b, FRAME_STATUS, str_make((const char *)&code, sizeof(code)));
	do {
		struct str part = str_make(text.p, text.n < piece ? text.n : piece);

		frame_put(&b, FRAME_TEXT, part);
		ok = send_packet(fd, strb_str(&b));
		strb_reset(&b);
		text.p += part.n;
		text.n -= part.n;
	} while (ok && text.n);
	strb_fini(&b);
	return ok;
}

void
control_answer_read(struct str packet, unsigned *status, struct strb *text)
{
	struct str value;
	unsigned type;
	uint32_t code;

	while (frame_next(&packet, &type, &value) > 0) {
		if (type == FRAME_TEXT)
			strb_adds(text, value);
		if (type != FRAME_STATUS || value.n != sizeof(code))
			continue;
		memcpy(&code, value.p, sizeof(code));
		*status = code;
	}
}

bool
control_is_allowed(int fd)
{
	struct ucred who;
	socklen_t n = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
		return false;
	if (who.uid == 0 || who.uid == geteuid())
		return true;
	errno = EPERM;
	return false;
}
