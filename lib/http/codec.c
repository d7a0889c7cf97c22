#include "lib/http/codec.h"

void
codec_drop_output(struct codec *c)
{
	struct buf out;

	buf_init(&out);
	codec_output(c, &out);
	buf_fini(&out);
}
