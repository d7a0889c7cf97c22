/* Where nghttp2's sessions of this process have their memory from. */
#ifndef HTTP_H2_MEM_H
#define HTTP_H2_MEM_H

#include <nghttp2/nghttp2.h>

extern nghttp2_mem h2_mem;

#endif
