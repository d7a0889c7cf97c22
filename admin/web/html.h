/* Pieces of the admin port's pages. */
#ifndef WEB_HTML_H
#define WEB_HTML_H

#include "lib/base/str.h"

void html_begin(struct strb *out, const char *title);
void html_end(struct strb *out);
void html_escape(struct strb *out, struct str text);

#endif
