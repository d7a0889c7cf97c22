/* Text forms of addresses and ranges: what is accepted is written back and read again the same. */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/assert.h"
#include "lib/net/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make((const char *)data, size);
	char out[ADDRESS_TEXT];
	struct address a, b;
	struct cidr c;

	if (address_parse(&a, text, NULL) == 0) {
		size_t n = address_format(&a, out);

		ASSERT(n < sizeof(out) && address_parse(&b, str_make(out, n), NULL) == 0);
		ASSERT(address_eq(&a, &b));
		if (cidr_parse(&c, text, NULL) == 0)
			cidr_contains(&c, &a);
	}
	cidr_parse(&c, text, NULL);
	return 0;
}
