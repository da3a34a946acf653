/* Sums of both kinds of convolution by ARM's vectors and by plain C, for random inputs. Exit code 0: all alike. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../vqcodec/native/conv.h"
#include "../../vqcodec/native/isa.h"

static int number(int low, int high)
{
    return low + rand() % (high - low + 1);
}

/* Random inputs and weights at the ends of their ranges too; returns whether the sums agree. */
static int alike(vq_dot dot, int channels, int kernel, int width, int outputs)
{
    const int groups = vq_groups(dot, channels), padded = vq_padded(outputs);
    const size_t row = (size_t)(width + kernel - 1) * groups * 4, count = (size_t)width * padded;
    const size_t weights_count = (size_t)outputs * kernel * kernel * channels;
    int8_t *bytes = malloc(weights_count);
    int16_t *words = malloc(2 * weights_count);
    for (size_t i = 0; i < weights_count; i++) {
        bytes[i] = number(0, 9) ? number(-64, 64) : -64;
        words[i] = number(0, 9) ? number(-32768, 32767) : -32768;
    }
    char *packed = malloc(vq_packed_size(dot, outputs, kernel, channels)), *inputs = malloc(kernel * row);
    vq_pack(dot, dot == VQ_DOT8 ? (void *)bytes : words, outputs, kernel, channels, packed);
    for (size_t i = 0; i < kernel * row; i++)
        inputs[i] = number(0, 9) ? number(0, 255) : 255;
    const void *rows[3];
    for (int r = 0; r < kernel; r++)
        rows[r] = inputs + r * row;
    int32_t *sums[2];
    const char *const names[2] = {"portable", "neon"};
    for (int i = 0; i < 2; i++) {
        sums[i] = malloc(sizeof(int32_t) * count);
        vq_isa_choose(names[i]);
        vq_conv_row(dot, rows, groups, kernel, 1, width, packed, padded, sums[i]);
    }
    const int same = !memcmp(sums[0], sums[1], sizeof(int32_t) * count);
    free(bytes), free(words), free(packed), free(inputs), free(sums[0]), free(sums[1]);
    return same;
}

int main(void)
{
    vq_isa_start();
    if (strcmp(vq_isa_name(vq_isa_now()), "neon"))
        return puts("no NEON with products of bytes"), 2;
    int wrong = 0;
    for (int round = 0; round < 300; round++) {
        const vq_dot dot = number(0, 1) ? VQ_DOT8 : VQ_DOT16;
        const int channels = number(1, 70), kernel = number(0, 1) ? 3 : 1;
        const int width = number(1, 40), outputs = number(1, 50);
        if (!alike(dot, channels, kernel, width, outputs))
            wrong++, printf("%d %d %d %d %d\n", dot, channels, kernel, width, outputs);
    }
    return wrong > 0;
}
