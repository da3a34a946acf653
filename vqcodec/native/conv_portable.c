#include <string.h>

#include "conv_isa.h"

/* 16 outputs of one pixel. Unsigned arithmetic, since sums wrap. */

static void sums8(const vq_conv_call *call, int x, const int8_t *weights, uint32_t *sum)
{
    for (int r = 0; r < call->kernel; r++) {
        const uint8_t *in = (const uint8_t *)call->rows[r] + x * call->pixel;
        for (int i = 0; i < call->run; i++, in += 4, weights += 4 * VQ_OUTPUTS) {
            const int a = in[0], b = in[1], c = in[2], d = in[3];
            for (int o = 0; o < VQ_OUTPUTS; o++) {
                const int8_t *w = weights + 4 * o;
                sum[o] += (uint32_t)(a * w[0] + b * w[1] + c * w[2] + d * w[3]);
            }
        }
    }
}

static void sums16(const vq_conv_call *call, int x, const int16_t *weights, uint32_t *sum)
{
    for (int r = 0; r < call->kernel; r++) {
        const int16_t *in = (const int16_t *)call->rows[r] + x * (call->pixel / 2);
        for (int i = 0; i < call->run; i++, in += 2, weights += 2 * VQ_OUTPUTS) {
            const int a = in[0], b = in[1];
            for (int o = 0; o < VQ_OUTPUTS; o++)
                sum[o] += (uint32_t)(a * weights[2 * o]) + (uint32_t)(b * weights[2 * o + 1]);
        }
    }
}

static void all(const vq_conv_call *call, vq_dot dot)
{
    for (int block = 0; block < call->outputs / VQ_OUTPUTS; block++) {
        const char *weights = call->packed + block * call->block;
        for (int x = 0; x < call->width; x++) {
            uint32_t sum[VQ_OUTPUTS] = {0};
            if (dot == VQ_DOT8)
                sums8(call, x, (const int8_t *)weights, sum);
            else
                sums16(call, x, (const int16_t *)weights, sum);
            memcpy(call->acc + (size_t)x * call->outputs + block * VQ_OUTPUTS, sum, sizeof sum);
        }
    }
}

void vq_conv8_portable(const vq_conv_call *call)
{
    all(call, VQ_DOT8);
}

void vq_conv16_portable(const vq_conv_call *call)
{
    all(call, VQ_DOT16);
}
