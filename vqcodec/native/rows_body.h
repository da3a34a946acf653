/* rows.h in plain C, which compilers turn into vectors. A variant defines VQ_TARGET and VQ_TABLE first. */
#include <float.h>
#include <string.h>

#include "isa.h"
#include "rows.h"

#if FLT_EVAL_METHOD != 0
#error "float32 is not computed in float32 here: pixels would differ"
#endif

VQ_TARGET VQ_INLINE int32_t bits_of(float v)
{
    int32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

VQ_TARGET VQ_INLINE float float_of(int32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* rint() to an integer for |v| < 2^22: a sum with 1.5 * 2^23 has no bits for fractions, and rounds half to
   even. */
VQ_TARGET VQ_INLINE int32_t nearest(float v)
{
    return bits_of(v + 12582912.0f) - 0x4B400000;
}

/* Clamping is done in the bits of numbers, whose order is that of integers: compilers have vectors for that.
   Bounds are integers, so it does not matter that they come before rounding. */

/* rint(v) between 0 and `high`. */
VQ_TARGET VQ_INLINE int32_t unsigned_nearest(float v, float high)
{
    int32_t bits = bits_of(v);
    bits = bits > 0 ? bits : 0;
    bits = bits < bits_of(high) ? bits : bits_of(high);
    return nearest(float_of(bits));
}

/* rint(v) between -high and `high`. */
VQ_TARGET VQ_INLINE int32_t signed_nearest(float v, float high)
{
    const int32_t bits = bits_of(v), sign = bits & INT32_MIN;
    int32_t size = bits & INT32_MAX;
    size = size < bits_of(high) ? size : bits_of(high);
    return nearest(float_of(size | sign));
}

VQ_TARGET static void to_bytes(const float *restrict in, const float *restrict inverse, size_t count,
                               uint8_t *restrict out)
{
    for (size_t i = 0; i < count; i++) {
        const int32_t level = signed_nearest(in[i] * inverse[i], 128) + 128;
        out[i] = (uint8_t)(level < 255 ? level : 255);
    }
}

VQ_TARGET static void to_words(const float *restrict in, const float *restrict inverse, size_t count,
                               int16_t *restrict out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (int16_t)signed_nearest(in[i] * inverse[i], 32767);
}

/* Outputs at once: with a number known to the compiler there is no rest in its vectors. */
enum { LANES = 16 };

#define VALUE(i) ((float)(int32_t)((uint32_t)sums[i] - (uint32_t)offset[i]) * scale[i] + bias[i])

VQ_TARGET VQ_INLINE void some_floats(const int32_t *restrict sums, const int32_t *restrict offset,
                                     const float *restrict scale, const float *restrict bias, const int n,
                                     const int add, float *restrict out)
{
    for (int i = 0; i < n; i++)
        out[i] = add ? out[i] + VALUE(i) : VALUE(i);
}

/* Pixel by pixel, since large results are written best in the order of memory. */
VQ_TARGET VQ_INLINE void all_floats(const int32_t *sums, size_t stride, int pixels, int outputs,
                                    const vq_affine *affine, const int add, float *out, size_t step)
{
    const int32_t *offset = affine->offset;
    const float *scale = affine->scale, *bias = affine->bias;
    for (int x = 0; x < pixels; x++, sums += stride, out += step) {
        int o = 0;
        for (; o + LANES <= outputs; o += LANES)
            some_floats(sums + o, offset + o, scale + o, bias + o, LANES, add, out + o);
        if (o < outputs)
            some_floats(sums + o, offset + o, scale + o, bias + o, outputs - o, add, out + o);
    }
}

VQ_TARGET static void sums_to_floats(const int32_t *sums, size_t stride, int pixels, int outputs,
                                     const vq_affine *affine, int add, float *out, size_t step)
{
    if (add)
        all_floats(sums, stride, pixels, outputs, affine, 1, out, step);
    else
        all_floats(sums, stride, pixels, outputs, affine, 0, out, step);
}

/* Up to 16 outputs of all pixels, whose constants stay in registers. */
VQ_TARGET VQ_INLINE void some_bytes(const int32_t *restrict sums, size_t stride, int pixels, const int n,
                                    const vq_affine *affine, int first, const float *restrict add,
                                    size_t add_step, uint8_t *restrict out, size_t step)
{
    int32_t offset[LANES];
    float scale[LANES], bias[LANES];
    memcpy(offset, affine->offset + first, n * sizeof *offset);
    memcpy(scale, affine->scale + first, n * sizeof *scale);
    memcpy(bias, affine->bias + first, n * sizeof *bias);
    sums += first;
    out += first;
    if (add) {
        add += first;
        for (int x = 0; x < pixels; x++, sums += stride, out += step, add += add_step)
            for (int i = 0; i < n; i++)
                out[i] = (uint8_t)unsigned_nearest(VALUE(i) + add[i], 255);
    } else {
        for (int x = 0; x < pixels; x++, sums += stride, out += step)
            for (int i = 0; i < n; i++)
                out[i] = (uint8_t)unsigned_nearest(VALUE(i), 255);
    }
}

#undef VALUE

VQ_TARGET static void sums_to_bytes(const int32_t *sums, size_t stride, int pixels, int outputs,
                                    const vq_affine *affine, const float *add, size_t add_step, uint8_t *out,
                                    size_t step)
{
    int o = 0;
    for (; o + LANES <= outputs; o += LANES)
        some_bytes(sums, stride, pixels, LANES, affine, o, add, add_step, out, step);
    if (o < outputs)
        some_bytes(sums, stride, pixels, outputs - o, affine, o, add, add_step, out, step);
}

#include "rows_picture.h"

const vq_rows VQ_TABLE = {to_bytes, to_words,  sums_to_floats, sums_to_bytes,
                          lap_down, lap_along, cells,          mend};
