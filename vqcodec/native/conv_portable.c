/* Plain C that compilers turn into vectors: for one input channel after the other, its products with 16
 * outputs. */
#include <string.h>

#include "conv_isa.h"

enum { CHANNELS = 256 /* of which the weights are unpacked at once */, PIXELS = 4 };

typedef uint32_t vq_words16 __attribute__((vector_size(64))); /* sums wrap, so they have no sign */

/* Adds `channels` channels to the sums of some pixels, of which weights are loaded once for all. */
VQ_INLINE void add_some(const vq_conv_call *call, const char *in, vq_dot dot, int channels,
                        const vq_words16 *weights, int32_t *acc, const int pixels)
{
    vq_words16 sum[PIXELS];
    for (int p = 0; p < pixels; p++)
        memcpy(&sum[p], acc + (size_t)p * call->outputs, sizeof sum[p]);
    for (int c = 0; c < channels; c++) {
        const vq_words16 weight = weights[c];
        for (int p = 0; p < pixels; p++) {
            const char *from = in + p * call->pixel;
            const int value = dot == VQ_DOT8 ? ((const uint8_t *)from)[c] : ((const int16_t *)from)[c];
            sum[p] += weight * (uint32_t)value;
        }
    }
    for (int p = 0; p < pixels; p++)
        memcpy(acc + (size_t)p * call->outputs, &sum[p], sizeof sum[p]);
}

/* The same for all pixels of a row, for one block of outputs. */
VQ_INLINE void add_row(const vq_conv_call *call, const char *in, const vq_dot dot, int channels,
                       const vq_words16 *weights, int block)
{
    int32_t *acc = call->acc + block * VQ_OUTPUTS;
    int x = 0;
    for (; x + PIXELS <= call->width; x += PIXELS)
        add_some(call, in + x * call->pixel, dot, channels, weights, acc + (size_t)x * call->outputs, PIXELS);
    for (; x < call->width; x++)
        add_some(call, in + x * call->pixel, dot, channels, weights, acc + (size_t)x * call->outputs, 1);
}

/* Weights of `channels` channels from `packed` on: all outputs of one channel after the other. */
static void unpack(const char *packed, vq_dot dot, int channels, vq_words16 *weights)
{
    const int per_word = dot == VQ_DOT8 ? 4 : 2;
    for (int c = 0; c < channels; c++) {
        const size_t first = (size_t)(c / per_word) * per_word * VQ_OUTPUTS + c % per_word;
        for (int o = 0; o < VQ_OUTPUTS; o++)
            weights[c][o] = (uint32_t)(dot == VQ_DOT8 ? ((const int8_t *)packed)[first + o * per_word]
                                                      : ((const int16_t *)packed)[first + o * per_word]);
    }
}

static void all(const vq_conv_call *call, vq_dot dot)
{
    const int per_word = dot == VQ_DOT8 ? 4 : 2, channels = call->run * per_word;
    const size_t input = 4 / per_word,
                 column = input * VQ_OUTPUTS; /* bytes of a channel's input and weights */
    vq_words16 weights[CHANNELS];
    memset(call->acc, 0, sizeof *call->acc * call->width * call->outputs);
    for (int block = 0; block < call->outputs / VQ_OUTPUTS; block++) {
        const char *packed = call->packed + block * call->block;
        for (int r = 0; r < call->kernel; r++)
            for (int c = 0; c < channels; c += CHANNELS) {
                const int n = channels - c < CHANNELS ? channels - c : CHANNELS;
                const char *in = (const char *)call->rows[r] + c * input;
                unpack(packed, dot, n, weights);
                packed += n * column;
                if (dot == VQ_DOT8)
                    add_row(call, in, VQ_DOT8, n, weights, block);
                else
                    add_row(call, in, VQ_DOT16, n, weights, block);
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
