#include "conv.h"

#include <string.h>

#include "conv_isa.h"

static vq_conv_function *const functions[VQ_ISAS][2] = {
#ifdef __wasm_simd128__
    [VQ_PORTABLE] = {vq_conv8_wasm, vq_conv16_wasm},
#else
    [VQ_PORTABLE] = {vq_conv8_portable, vq_conv16_portable},
#endif
#ifdef VQ_ARM
    [VQ_NEON] = {vq_conv8_neon, vq_conv16_neon},
#endif
#ifdef VQ_X86
    [VQ_AVX2] = {vq_conv8_avx2, vq_conv16_avx2},
#ifdef VQ_X86_AVXVNNI
    [VQ_AVXVNNI] = {vq_conv8_avxvnni, vq_conv16_avxvnni},
#endif
    [VQ_AVX512VNNI] = {vq_conv8_avx512vnni, vq_conv16_avx512vnni},
#ifdef VQ_X86_AMX
    [VQ_AMX] = {vq_conv8_amx, vq_conv16_avx512vnni},
#endif
#endif
};

int vq_groups(vq_dot dot, int channels)
{
    return dot == VQ_DOT8 ? (channels + 3) / 4 : (channels + 1) / 2;
}

int vq_padded(int outputs)
{
    return (outputs + VQ_OUTPUTS - 1) / VQ_OUTPUTS * VQ_OUTPUTS;
}

size_t vq_packed_size(vq_dot dot, int outputs, int kernel, int channels)
{
    return (size_t)vq_padded(outputs) * kernel * kernel * vq_groups(dot, channels) * 4;
}

void vq_pack(vq_dot dot, const void *weights, int outputs, int kernel, int channels, void *packed)
{
    const int per_word = dot == VQ_DOT8 ? 4 : 2;
    const size_t bytes = dot == VQ_DOT8 ? 1 : 2;
    const int taps = kernel * kernel, groups = vq_groups(dot, channels);
    const char *from = weights;
    char *to = packed;
    memset(to, 0, vq_packed_size(dot, outputs, kernel, channels));
    for (int o = 0; o < outputs; o++) {
        for (int tap = 0; tap < taps; tap++) {
            for (int c = 0; c < channels; c++, from += bytes) {
                size_t word = (size_t)(o / VQ_OUTPUTS) * taps + tap;
                word = (word * groups + c / per_word) * VQ_OUTPUTS + o % VQ_OUTPUTS;
                memcpy(to + word * 4 + c % per_word * bytes, from, bytes);
            }
        }
    }
}

void vq_conv_row(vq_dot dot, const void *const *rows, int groups, int kernel, int step, int width,
                 const void *packed, int outputs, int32_t *acc)
{
    const vq_conv_call call = {
        .rows = rows,
        .kernel = kernel,
        .run = kernel * groups,
        .pixel = (size_t)step * groups * 4,
        .packed = packed,
        .block = (size_t)kernel * kernel * groups * 4 * VQ_OUTPUTS,
        .width = width,
        .outputs = outputs,
        .acc = acc,
    };
    functions[vq_isa_now()][dot](&call);
}
