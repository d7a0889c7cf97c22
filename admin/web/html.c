#include "admin/web/html.h"

void
html_begin(struct strb *out, const char *title)
{
	strb_printf(out,
	    "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>%s</title>\n"
	    "<style>body{font:14px sans-serif;margin:1em}td{padding:.2em .8em;vertical-align:top}"
	    "tbody{border-bottom:1px solid #ddd}table{border-collapse:collapse}"
	    ".changes{background:#fdd}.param{padding-left:2.5em}</style></head>\n<body><h1>%s</h1>\n",
	    title, title);
}

void
html_end(struct strb *out)
{
	strb_addz(out, "</body></html>\n");
}

void
html_escape(struct strb *out, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		switch (text.p[i]) {
		case '<':
			strb_addz(out, "&lt;");
			break;
		case '>':
			strb_addz(out, "&gt;");
			break;
		case '&':
			strb_addz(out, "&amp;");
			break;
		case '\'':
			strb_addz(out, "&#39;");
			break;
		case '"':
			strb_addz(out, "&quot;");
			break;
		default:
			strb_addc(out, text.p[i]);
		}
	}
}
