/* Lapping and restoration: the steps that work on pixels, on several threads. */
#ifndef VQ_PICTURE_H
#define VQ_PICTURE_H

#include <stddef.h>
#include <stdint.h>

/* Mixes the 16 samples around every inner boundary of 16x16 blocks of x (height, width, channels) by `matrix`
   (16, 16), in place: along columns, then along rows. */
void vq_lap(int threads, float *x, int height, int width, int channels, const float *matrix);

/* u (height, width, 3) to cells (height / 2, width / 2, 24); the sides are even. 0, or -1 where memory ran out, as
   below. */
int vq_cells(int threads, const float *u, int height, int width, int16_t *out);

/* Pixels (height, width, 3) of u + draw + sum over k of gate k times the pixels in `cells`, filtered by
   kernel k.

   f: (height / 2, width / 2, 12 + 12 * count), draw and gates; kernels (3, count, 5, 5); colour (3, 3). */
int vq_mend(int threads, const float *u, const int16_t *cells, const float *f, int height, int width,
            const int16_t *kernels, int count, const float *colour, uint8_t *out);

/* Moves pixels of `bytes` bytes: (height, width, n * n) to (n * height, n * width), or back. */
void vq_shuffle(int threads, const char *x, int height, int width, int n, size_t bytes, int back, char *out);

#endif
