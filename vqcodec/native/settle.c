#include "settle.h"

#include <stdlib.h>
#include <string.h>

#include "isa.h"

#define MEAN_MAX (1 << 30) /* means beyond it are far out of the latent's bounds with any codeword */

static inline int32_t clamp(int32_t x, int32_t most)
{
    return x < -most ? -most : x > most ? most : x;
}

/* Codewords (channels,) of a pixel, group g in channels g, g + G, ...; -2 if an index has none. */
static int look_up(const vq_settling *settling, size_t pixel, int32_t *known)
{
    for (const vq_settled_band *b = settling->bands; b < settling->bands + settling->count; b++) {
        const int groups = b->groups, size = b->size;
        const int32_t *index = b->index + pixel * (size_t)groups, *words = b->words;
        for (int g = 0; g < groups; g++, words += (size_t)b->count * (size_t)size) {
            if (index[g] < 0 || index[g] >= b->count)
                return -2;
            const int32_t *word = words + (size_t)index[g] * (size_t)size;
            for (int j = 0; j < size; j++)
                known[j * groups + g] = word[j];
        }
        known += groups * size;
    }
    return 0;
}

VQ_INLINE void add(const int32_t *restrict mean, int32_t *restrict known, int32_t *restrict to, int channels)
{
    for (int c = 0; c < channels; c++) {
        known[c] = clamp(known[c], VQ_LATENT_MAX);
        to[c] = clamp(clamp(mean[c], MEAN_MAX) + known[c], VQ_LATENT_MAX);
    }
}

#ifdef VQ_X86
VQ_TARGET_AVX2 static void add_avx2(const int32_t *mean, int32_t *known, int32_t *to, int channels)
{
    add(mean, known, to, channels);
}
#endif

int vq_settle(const vq_settling *settling, int first, int count)
{
    const int channels = settling->channels;
    const int32_t *mean = settling->mean + (size_t)first * (size_t)channels;
    int8_t *seen = settling->seen + (size_t)first * (size_t)channels;
    int32_t *known = calloc((size_t)channels + 1, sizeof *known);
    int result = known == NULL ? -1 : 0;
    for (int i = first; result == 0 && i < first + count; i++, mean += channels, seen += channels) {
        char *place = settling->latent + i / settling->columns * settling->row;
        int32_t *to = (int32_t *)(place + i % settling->columns * settling->column);
        result = look_up(settling, (size_t)i, known);
        if (result < 0)
            break;
#ifdef VQ_X86
        if (vq_isa_now() != VQ_PORTABLE)
            add_avx2(mean, known, to, channels);
        else
#endif
            add(mean, known, to, channels);
        for (int c = 0; c < channels; c++)
            seen[c] = vq_companded(&settling->compand, known[c]);
    }
    free(known);
    return result;
}
