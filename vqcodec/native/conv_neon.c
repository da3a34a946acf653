/* ARM's vectors with dot products of bytes (ARMv8.2's option, in all of Apple's processors). They take signed bytes
   alone: inputs are lowered by 128, which the sums make up for by 128 times the weights. */
#include "conv_isa.h"

#ifdef VQ_ARM
#include <arm_neon.h>
#include <string.h>

#define VQ_TARGET VQ_TARGET_NEON
#define VQ_VECTOR int32x4_t
#define VQ_PER_BLOCK 4
#define VQ_BLOCKS 1
#define VQ_PIXELS 6
#define VQ_ZERO() vdupq_n_s32(0)
#define VQ_LOAD(p) vreinterpretq_s32_u8(vld1q_u8((const uint8_t *)(p)))
#define VQ_STORE(p, v) vst1q_s32(p, v)

VQ_TARGET VQ_INLINE int32x4_t repeat(const char *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return vdupq_n_s32(word);
}

VQ_TARGET VQ_INLINE int32x4_t dot8(int32x4_t sum, int32x4_t input, int32x4_t weight)
{
    return vdotq_s32(sum, vreinterpretq_s8_s32(input), vreinterpretq_s8_s32(weight));
}

VQ_TARGET VQ_INLINE int32x4_t dot16(int32x4_t sum, int32x4_t input, int32x4_t weight)
{
    const int16x8_t a = vreinterpretq_s16_s32(input), b = vreinterpretq_s16_s32(weight);
    const int32x4_t low = vmull_s16(vget_low_s16(a), vget_low_s16(b)), high = vmull_high_s16(a, b);
    return vaddq_s32(sum, vpaddq_s32(low, high));
}

#define VQ_FUNCTION lowered
#define VQ_REPEAT(p) veorq_s32(repeat(p), vdupq_n_s32((int32_t)0x80808080))
#define VQ_DOT dot8
#define VQ_LOCAL static
#include "conv_tiles.h"
#undef VQ_LOCAL
#undef VQ_FUNCTION
#undef VQ_REPEAT
#undef VQ_DOT

#define VQ_FUNCTION vq_conv16_neon
#define VQ_REPEAT(p) repeat(p)
#define VQ_DOT dot16
#include "conv_tiles.h"

VQ_TARGET void vq_conv8_neon(const vq_conv_call *call)
{
    lowered(call);
    const int words = call->kernel * call->run;
    for (int o = 0; o < call->outputs; o += 4) {
        const char *weights = call->packed + o / VQ_OUTPUTS * call->block + o % VQ_OUTPUTS * 4;
        int32x4_t sum = VQ_ZERO();
        for (int word = 0; word < words; word++, weights += 4 * VQ_OUTPUTS)
            sum = dot8(sum, vdupq_n_s32(0x01010101), VQ_LOAD(weights));
        sum = vshlq_n_s32(sum, 7);
        int32_t *acc = call->acc + o;
        for (int x = 0; x < call->width; x++, acc += call->outputs)
            vst1q_s32(acc, vaddq_s32(vld1q_s32(acc), sum));
    }
}
#endif
