#include "winograd.h"

#include <stdlib.h>
#include <string.h>

#include "isa.h"

enum { SIDE = 4, LANES = 8 };

typedef int16_t vq_words8 __attribute__((vector_size(16)));
typedef uint8_t vq_bytes8 __attribute__((vector_size(8)));
typedef int32_t vq_sums4 __attribute__((vector_size(16)));

/* Bytes of the weights of one of the products. */
static size_t each(const vq_conv_layer *layer)
{
    return vq_packed_size(VQ_DOT16, layer->outputs, 1, layer->groups * 4);
}

size_t vq_winograd_size(const vq_conv_layer *layer)
{
    const int fits = layer->dot == VQ_DOT8 && layer->kernel == 3 && layer->groups * 4 % LANES == 0;
    return fits ? VQ_TILE_PRODUCTS * each(layer) : 0;
}

/* 2 G v for three numbers, `step` apart. */
static void weights_of_line(const int *v, int step, int *out)
{
    const int a = v[0], b = v[step], c = v[2 * step];
    out[0] = 2 * a;
    out[1] = a + b + c;
    out[2] = a - b + c;
    out[3] = 2 * c;
}

int vq_winograd_pack(const vq_conv_layer *layer, const int8_t *weights, void *packed)
{
    const size_t inputs = layer->inputs, channels = (size_t)layer->groups * 4;
    const size_t plane = (size_t)layer->outputs * channels;
    int16_t *planes = calloc(VQ_TILE_PRODUCTS * plane, sizeof *planes);
    if (!planes)
        return -1;
    for (int o = 0; o < layer->outputs; o++)
        for (size_t c = 0; c < inputs; c++) {
            int taps[9], columns[SIDE * 3], all[SIDE];
            for (int tap = 0; tap < 9; tap++)
                taps[tap] = weights[(o * 9 + tap) * inputs + c];
            for (int j = 0; j < 3; j++) {
                weights_of_line(taps + j, 3, all);
                for (int i = 0; i < SIDE; i++)
                    columns[3 * i + j] = all[i];
            }
            for (int i = 0; i < SIDE; i++) {
                weights_of_line(columns + 3 * i, 1, all);
                for (int j = 0; j < SIDE; j++)
                    planes[(SIDE * i + j) * plane + o * channels + c] = (int16_t)all[j];
            }
        }
    for (int p = 0; p < VQ_TILE_PRODUCTS; p++)
        vq_pack(VQ_DOT16, planes + p * plane, layer->outputs, 1, (int)channels, (char *)packed + p * each(layer));
    free(planes);
    return 0;
}

size_t vq_winograd_room(const vq_conv_layer *layer, int tiles)
{
    return (size_t)VQ_TILE_PRODUCTS * tiles * layer->groups * 4 * sizeof(int16_t);
}

VQ_INLINE void inputs_of_line(const vq_words8 *v, int step, vq_words8 *out)
{
    out[0] = v[0] - v[2 * step];
    out[1] = v[step] + v[2 * step];
    out[2] = v[2 * step] - v[step];
    out[3] = v[step] - v[3 * step];
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

void vq_winograd_enter(const vq_conv_layer *layer, const char *in, size_t row, int rows, int columns, int tiles,
                       int16_t *entered)
{
    const size_t channels = (size_t)layer->groups * 4, plane = tiles * channels;
    for (int t = 0; t < tiles; t++, entered += channels) {
        const char *from[SIDE][SIDE];
        /* What lies beyond is no part of any output that is kept. */
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++)
                from[i][j] = in + least(i, rows - 1) * row + least(2 * t + j, columns - 1) * channels;
        for (size_t c = 0; c < channels; c += LANES) {
            vq_words8 x[SIDE * SIDE], down[SIDE * SIDE], all[SIDE];
            for (int i = 0; i < SIDE; i++)
                for (int j = 0; j < SIDE; j++) {
                    vq_bytes8 bytes;
                    memcpy(&bytes, from[i][j] + c, sizeof bytes);
                    x[SIDE * i + j] = __builtin_convertvector(bytes, vq_words8);
                }
            for (int j = 0; j < SIDE; j++) {
                inputs_of_line(x + j, SIDE, all);
                for (int i = 0; i < SIDE; i++)
                    down[SIDE * i + j] = all[i];
            }
            for (int i = 0; i < SIDE; i++) {
                inputs_of_line(down + SIDE * i, 1, all);
                for (int j = 0; j < SIDE; j++)
                    memcpy(entered + (SIDE * i + j) * plane + c, &all[j], sizeof all[j]);
            }
        }
    }
}

VQ_INLINE void sums_of_line(const vq_sums4 *v, int step, vq_sums4 *out)
{
    out[0] = v[0] + v[step] + v[2 * step];
    out[1] = v[step] - v[2 * step] - v[3 * step];
}

void vq_winograd_sums(const vq_conv_layer *layer, const int16_t *entered, int tiles, int first, int outputs,
                      int32_t *products, int32_t *sums)
{
    const size_t channels = (size_t)layer->groups * 4, plane = (size_t)tiles * outputs;
    const size_t skipped = vq_packed_size(VQ_DOT16, first, 1, (int)channels);
    for (int p = 0; p < VQ_TILE_PRODUCTS; p++) {
        const void *row = entered + p * tiles * channels;
        vq_conv_row(VQ_DOT16, &row, layer->groups * 2, 1, 1, tiles,
                    (const char *)layer->transformed + p * each(layer) + skipped, outputs, products + p * plane);
    }
    for (int t = 0; t < tiles; t++)
        for (int o = 0; o < outputs; o += 4) {
            const size_t at = (size_t)t * outputs + o;
            vq_sums4 m[SIDE * SIDE], down[2 * SIDE], two[2];
            for (int p = 0; p < VQ_TILE_PRODUCTS; p++)
                memcpy(&m[p], products + p * plane + at, sizeof m[p]);
            for (int j = 0; j < SIDE; j++) {
                sums_of_line(m + j, SIDE, two);
                down[j] = two[0];
                down[SIDE + j] = two[1];
            }
            for (int i = 0; i < 2; i++) {
                sums_of_line(down + SIDE * i, 1, two);
                for (int j = 0; j < 2; j++) {
                    const vq_sums4 sum = two[j] >> 2; /* a multiple of 4 */
                    memcpy(sums + ((size_t)i * 2 * tiles + 2 * t + j) * outputs + o, &sum, sizeof sum);
                }
            }
        }
}
