/* Elementwise work on rows of maps, compiled for each instruction set.

   float32, every operation rounded once: no fused multiply-add, sums in the order in which they are written.
   Conversions to integers round half to even. */
#ifndef VQ_ROWS_H
#define VQ_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* What becomes of the sums of a convolution: (sum - offset) * scale + bias, for each output. */
typedef struct {
    const int32_t *offset;
    const float *scale, *bias;
} vq_affine;

typedef struct {
    /* out[i] = clamp(rint(in[i] * inverse[i]), -128, 127) + 128 */
    void (*to_bytes)(const float *in, const float *inverse, size_t count, uint8_t *out);
    /* out[i] = clamp(rint(in[i] * inverse[i]), -32767, 32767) */
    void (*to_words)(const float *in, const float *inverse, size_t count, int16_t *out);
    /* For `pixels` pixels of `outputs` outputs, `stride` sums apart: out = value, or out + value. Outputs of
       a pixel are `step` elements after those of the last one. */
    void (*sums_to_floats)(const int32_t *sums, size_t stride, int pixels, int outputs,
                           const vq_affine *affine, int add, float *out, size_t step);
    /* The same with clamp(rint(value + add), 0, 255); `add`, with steps of its own, may be null. */
    void (*sums_to_bytes)(const int32_t *sums, size_t stride, int pixels, int outputs,
                          const vq_affine *affine, const float *add, size_t add_step, uint8_t *out,
                          size_t step);
    /* 16 rows of `count` numbers, a multiple of 16, `stride` apart, in place: row i = sum over k of matrix[i][k] *
       row k. */
    void (*lap_down)(float *rows, size_t stride, size_t count, const float *matrix);
    /* The same along a row of 16 pixels with `channels` each; by_column is the matrix transposed.
     */
    void (*lap_along)(float *row, int channels, const float *by_column);
    /* One row of cells, 24 words each, from two rows of `width` pixels in 3 colours and the row below, which
       may be the second again. `scratch` holds 24 * width numbers. */
    void (*cells)(const float *top, const float *bottom, const float *below, int width, float *scratch,
                  int16_t *out);
    /* Two rows of pixels from one of cells: see mend.c. */
    void (*mend)(const float *u, const float *f, const int32_t *answers, int width, int kernels,
                 const float *colour, float *scratch, uint8_t *out);
} vq_rows;

/* Sums a cell of one colour has in `answers`: 4 for each kernel, padded. */
static inline int vq_answers(int kernels)
{
    return (4 * kernels + 15) / 16 * 16;
}

/* Those for the instruction set in use. */
const vq_rows *vq_rows_now(void);

#endif
