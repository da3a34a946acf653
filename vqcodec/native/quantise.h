/* Quantisation of maps on several threads. */
#ifndef VQ_QUANTISE_H
#define VQ_QUANTISE_H

#include <stddef.h>
#include <stdint.h>

/* Pixels of float32 with `channels` each, times inverse (channels,), to s16 if `words`, else to u8 around
   128, as in rows.h. 0, or -1 where memory ran out. */
int vq_quantise(int threads, const float *h, size_t pixels, size_t channels, const float *inverse, int words,
                void *out);

#endif
