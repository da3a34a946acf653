#include "layer.h"

#include <stdlib.h>
#include <string.h>

#include "isa.h"

#define SUM_LIMIT (1 << 24)
#define INPUT_MAX 255
#define MIDDLE 128 /* what stands for 0 in a signed input that is moved to u8 */

/* AVX2 adds products of bytes in 16 bits, too few for weights of 127; all others are twice as fast with bytes. */
vq_dot vq_layer_dot(void)
{
#ifdef __wasm_simd128__
    return VQ_DOT16; /* bytes would be widened anyway */
#else
    return vq_isa_now() == VQ_AVX2 ? VQ_DOT16 : VQ_DOT8;
#endif
}

static int within_bounds(const vq_layer *layer)
{
    size_t taps = (size_t)layer->inputs * (size_t)layer->kernel * (size_t)layer->kernel;
    for (int o = 0; o < layer->outputs; o++) {
        int64_t sum = 0, bias = 0;
        for (size_t i = 0; i < taps; i++)
            sum += abs(layer->weights[(size_t)o * taps + i]);
        for (int n = 0; n < layer->knots; n++) {
            int64_t own = llabs(layer->bias[n * layer->outputs + o]);
            bias = own > bias ? own : bias;
        }
        if (sum * INPUT_MAX + bias >= SUM_LIMIT || layer->shift[o] < 1 || layer->shift[o] > 62)
            return 0;
    }
    return 1;
}

int vq_layer_start(vq_layer *layer, const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                   const uint8_t *shift)
{
    size_t outputs = (size_t)layer->outputs, inputs = (size_t)layer->inputs;
    size_t taps = (size_t)layer->kernel * (size_t)layer->kernel, knots = (size_t)layer->knots;
    layer->weights = malloc(outputs * taps * inputs + 1);
    layer->bias = malloc((knots + 2) * outputs * sizeof *layer->bias);
    layer->shift = malloc(outputs);
    if (layer->weights == NULL || layer->bias == NULL || layer->shift == NULL)
        return -1;
    layer->multiplier = layer->bias + knots * outputs;
    layer->zero = layer->multiplier + outputs;
    memcpy(layer->bias, bias, knots * outputs * sizeof *bias);
    memcpy(layer->multiplier, multiplier, outputs * sizeof *multiplier);
    memcpy(layer->shift, shift, outputs);
    for (size_t o = 0; o < outputs; o++) {
        int32_t sum = 0;
        for (size_t i = 0; i < inputs; i++)
            for (size_t tap = 0; tap < taps; tap++) {
                int8_t weight = *weights++;
                layer->weights[(o * taps + tap) * inputs + i] = weight;
                sum += i < (size_t)layer->signed_inputs ? weight : 0;
            }
        layer->zero[o] = MIDDLE * sum;
    }
    return within_bounds(layer) ? 0 : -2;
}

void vq_layer_free(vq_layer *layer)
{
    free(layer->weights);
    free(layer->bias);
    free(layer->shift);
    free(layer->packed[VQ_DOT8]);
    free(layer->packed[VQ_DOT16]);
}

const void *vq_layer_packed(vq_layer *layer, vq_dot dot)
{
    void *packed = atomic_load_explicit(&layer->packed[dot], memory_order_acquire), *other = NULL;
    if (packed != NULL)
        return packed;
    size_t size = vq_packed_size(dot, layer->outputs, layer->kernel, layer->inputs);
    size_t count = (size_t)layer->outputs * (size_t)(layer->kernel * layer->kernel) * (size_t)layer->inputs;
    packed = aligned_alloc(64, (size + 63) / 64 * 64);
    int16_t *wide = dot == VQ_DOT16 ? malloc(count * sizeof *wide + 1) : NULL;
    if (packed == NULL || (dot == VQ_DOT16 && wide == NULL)) {
        free(packed);
        free(wide);
        return NULL;
    }
    for (size_t i = 0; wide != NULL && i < count; i++)
        wide[i] = layer->weights[i];
    vq_pack(dot, wide != NULL ? (const void *)wide : layer->weights, layer->outputs, layer->kernel,
            layer->inputs, packed);
    free(wide);
    if (atomic_compare_exchange_strong(&layer->packed[dot], &other, packed))
        return packed;
    free(packed); /* another thread made the same */
    return other;
}

int vq_map_start(vq_map *map, const vq_layer *layer, int height, int width)
{
    map->dot = vq_layer_dot();
    map->height = height;
    map->width = width;
    map->border = layer->kernel / 2;
    map->pixel = (size_t)vq_groups(map->dot, layer->inputs) * 4;
    int columns = width + 2 * map->border, rows = height + 2 * map->border;
    map->row = (size_t)columns * map->pixel;
    map->data = calloc((size_t)rows * map->row + 1, 1);
    if (map->data == NULL)
        return -1;
    if (map->border > 0 && map->dot == VQ_DOT8)
        for (int y = 0; y < rows; y++)
            for (int x = 0; x < columns; x++)
                if (y == 0 || y == rows - 1 || x == 0 || x == columns - 1)
                    memset(map->data + (size_t)y * map->row + (size_t)x * map->pixel, MIDDLE,
                           (size_t)layer->signed_inputs);
    return 0;
}

void vq_fill(vq_dot dot, void *in, size_t pixel, int channel, int count, int is_signed, const void *from, int pixels)
{
    const uint8_t *source = from;
    uint8_t *to = in;
    for (int x = 0; x < pixels; x++, to += pixel, source += count) {
        if (dot == VQ_DOT16) {
            int16_t *wide = (int16_t *)to + channel;
            for (int c = 0; c < count; c++)
                wide[c] = is_signed ? (int16_t)(int8_t)source[c] : (int16_t)source[c];
        } else if (is_signed) {
            for (int c = 0; c < count; c++)
                to[channel + c] = source[c] ^ MIDDLE;
        } else {
            memcpy(to + channel, source, (size_t)count);
        }
    }
}

void vq_map_row(vq_map *map, int y, int channel, int count, int is_signed, const void *from)
{
    uint8_t *to = map->data + (size_t)(y + map->border) * map->row + (size_t)map->border * map->pixel;
    vq_fill(map->dot, to, map->pixel, channel, count, is_signed, from, map->width);
}

void vq_map_all(vq_map *map, int channel, int count, int is_signed, const void *from)
{
    const uint8_t *source = from;
    for (int y = 0; y < map->height; y++, source += (size_t)map->width * (size_t)count)
        vq_map_row(map, y, channel, count, is_signed, source);
}

void vq_map_free(vq_map *map)
{
    free(map->data);
    map->data = NULL;
}
