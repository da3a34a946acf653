/* Convolutions of integers, one row of outputs at a time: sums of products, exact whatever their order.

   Both kinds read inputs and weights in words of 4 bytes: 4 channels of u8 x s8, or 2 channels of s16 x s16.
   Sums are int32 modulo 2^32. */
#ifndef VQ_CONV_H
#define VQ_CONV_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    VQ_DOT8, /* u8 inputs, s8 weights of at most 64 in size: AVX2 would saturate beyond */
    VQ_DOT16 /* s16 inputs and weights */
} vq_dot;

enum { VQ_OUTPUTS = 16 /* packed outputs are a multiple of this */ };

/* Words per pixel of `channels` input channels: channels / 4 or / 2, rounded up. */
int vq_groups(vq_dot dot, int channels);

/* `outputs` rounded up to a multiple of VQ_OUTPUTS. */
int vq_padded(int outputs);

/* Bytes of packed weights for `outputs` outputs of a kernel x kernel convolution of `channels` inputs. */
size_t vq_packed_size(vq_dot dot, int outputs, int kernel, int channels);

/* Packs weights (outputs, kernel, kernel, channels), s8 or s16, as
   [outputs / 16][kernel * kernel][groups][16 outputs][4 bytes], zeros where it was rounded up. `packed`
   should be aligned to 64 bytes for speed. */
void vq_pack(vq_dot dot, const void *weights, int outputs, int kernel, int channels, void *packed);

/* acc[x * outputs + o], x < width: the sum over kernel rows r and columns c of inputs times weights.

   rows[r]: input row of kernel row r, groups * 4 bytes per pixel, from kernel / 2 pixels left of the first
   output on; pixel x * step + c goes into output x. outputs: a multiple of 16. Channels beyond the real ones
   meet weights of zero. */
void vq_conv_row(vq_dot dot, const void *const *rows, int groups, int kernel, int step, int width,
                 const void *packed, int outputs, int32_t *acc);

#endif
