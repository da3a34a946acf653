/* rows.h in plain C, which compilers turn into vectors. A variant defines VQ_TARGET and VQ_TABLE first. */
#include <float.h>
#include <string.h>

#include "isa.h"
#include "rows.h"

#if FLT_EVAL_METHOD != 0
#error "float32 is not computed in float32 here: pixels would differ"
#endif

/* rint() to an integer for |v| < 2^22: a sum with 1.5 * 2^23 has no bits for fractions, and rounds half to
 * even. */
VQ_TARGET VQ_INLINE int32_t nearest(float v)
{
    v += 12582912.0f;
    int32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits - 0x4B400000;
}

/* Bounds are integers, so it does not matter that they come before rounding. */
VQ_TARGET VQ_INLINE int32_t clamped(float v, float low, float high)
{
    v = v > low ? v : low;
    v = v < high ? v : high;
    return nearest(v);
}

VQ_TARGET static void to_bytes(const float *restrict in, const float *restrict inverse, size_t count,
                               uint8_t *restrict out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)(clamped(in[i] * inverse[i], -128, 127) + 128);
}

VQ_TARGET static void to_words(const float *restrict in, const float *restrict inverse, size_t count,
                               int16_t *restrict out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (int16_t)clamped(in[i] * inverse[i], -32767, 32767);
}

#define VALUE(o) ((float)(int32_t)((uint32_t)sums[o] - (uint32_t)offset[o]) * scale[o] + bias[o])

VQ_TARGET static void sums_to_floats(const int32_t *restrict sums, size_t stride, int pixels, int outputs,
                                     const vq_affine *affine, int add, float *restrict out, size_t step)
{
    const int32_t *restrict offset = affine->offset;
    const float *restrict scale = affine->scale, *restrict bias = affine->bias;
    for (int x = 0; x < pixels; x++, sums += stride, out += step) {
        if (add)
            for (int o = 0; o < outputs; o++)
                out[o] += VALUE(o);
        else
            for (int o = 0; o < outputs; o++)
                out[o] = VALUE(o);
    }
}

VQ_TARGET static void sums_to_bytes(const int32_t *restrict sums, size_t stride, int pixels, int outputs,
                                    const vq_affine *affine, const float *restrict add, size_t add_step,
                                    uint8_t *restrict out, size_t step)
{
    const int32_t *restrict offset = affine->offset;
    const float *restrict scale = affine->scale, *restrict bias = affine->bias;
    for (int x = 0; x < pixels; x++, sums += stride, out += step) {
        if (add) {
            for (int o = 0; o < outputs; o++)
                out[o] = (uint8_t)clamped(VALUE(o) + add[o], 0, 255);
            add += add_step;
        } else {
            for (int o = 0; o < outputs; o++)
                out[o] = (uint8_t)clamped(VALUE(o), 0, 255);
        }
    }
}

#undef VALUE

#include "rows_picture.h"

const vq_rows VQ_TABLE = {to_bytes, to_words,  sums_to_floats, sums_to_bytes,
                          lap_down, lap_along, cells,          mend};
