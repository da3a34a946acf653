#include "conv_layer.h"

#include <stdlib.h>
#include <string.h>

#include "dot7.h"
#include "winograd.h"

enum {
    LINE = 64,
    MOST_WEIGHT8 = 64,
    MOST_SUM8 = (1 << 24) / 255 /* float32 adds such sums exactly, where numpy or torch do this work */
};

void *vq_aligned(size_t bytes, void **memory)
{
    *memory = malloc(bytes + LINE);
    return *memory ? (void *)(((uintptr_t)*memory + LINE - 1) / LINE * LINE) : NULL;
}

static int check8(const int8_t *weights, int outputs, size_t each)
{
    for (int o = 0; o < outputs; o++) {
        size_t sum = 0;
        for (size_t i = 0; i < each; i++) {
            const int size = abs(weights[o * each + i]);
            if (size > MOST_WEIGHT8)
                return -2;
            sum += (size_t)size;
        }
        if (sum >= MOST_SUM8)
            return -2;
    }
    return 0;
}

static int fill(vq_conv_layer *layer, const void *weights)
{
    const size_t padded = vq_padded(layer->outputs);
    size_t transformed = 0, excess = 0;
    layer->block = vq_packed_size(layer->dot, VQ_OUTPUTS, layer->kernel, layer->inputs);
#ifdef VQ_WINOGRAD
    transformed = vq_winograd_size(layer);
#endif
#ifdef VQ_DOT7
    if (layer->dot == VQ_DOT8) {
        layer->block = vq_dot7_block(layer);
        excess = vq_dot7_excess(layer, weights) * sizeof *layer->excess;
    }
#endif
    const size_t packed = transformed ? 0 : padded / VQ_OUTPUTS * layer->block; /* one of them is enough */
    const size_t offsets = padded * sizeof *layer->offset;
    layer->packed = vq_aligned(packed + transformed + offsets + excess, &layer->memory);
    if (!layer->packed)
        return -1;
    layer->offset = (int32_t *)((char *)layer->packed + packed + transformed);
    layer->excess = (vq_excess *)((char *)layer->offset + offsets);
    memset(layer->offset, 0, offsets);
    if (layer->zero) {
        const size_t each = (size_t)layer->kernel * layer->kernel * layer->inputs;
        for (int o = 0; o < layer->outputs; o++)
            for (size_t i = 0; i < each; i++)
                layer->offset[o] += layer->zero * ((const int8_t *)weights)[o * each + i];
    }
#ifdef VQ_WINOGRAD
    layer->transformed = transformed ? layer->packed : NULL;
    if (transformed)
        return vq_winograd_pack(layer, weights, layer->transformed);
#endif
#ifdef VQ_DOT7
    if (layer->dot == VQ_DOT8) {
        vq_dot7_pack(layer, weights);
        return 0;
    }
#endif
    vq_pack(layer->dot, weights, layer->outputs, layer->kernel, layer->inputs, layer->packed);
    return 0;
}

vq_conv_layer *vq_conv_layer_make(vq_dot dot, const void *weights, int outputs, int kernel, int inputs, int zero,
                                  int *status)
{
    *status = dot == VQ_DOT8 ? check8(weights, outputs, (size_t)kernel * kernel * inputs) : 0;
    vq_conv_layer *layer = *status ? NULL : calloc(1, sizeof *layer);
    if (!layer) {
        *status = *status ? *status : -1;
        return NULL;
    }
    layer->dot = dot;
    layer->zero = zero;
    layer->outputs = outputs;
    layer->kernel = kernel;
    layer->inputs = inputs;
    layer->groups = vq_groups(dot, inputs);
    *status = fill(layer, weights);
    if (*status == 0)
        return layer;
    vq_conv_layer_free(layer);
    return NULL;
}

void vq_conv_layer_free(vq_conv_layer *layer)
{
    free(layer->memory);
    free(layer);
}
