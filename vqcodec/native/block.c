#include <stdlib.h>
#include <string.h>

#include "convolve.h"
#include "pool.h"
#include "rows.h"

enum { MARGIN = 1 };

typedef struct {
    const float *h, *inverse;
    int width, channels;
    size_t gap; /* bytes that complete the groups of a pixel */
    vq_map out;
    const vq_rows *rows;
} vq_quantising;

static void quantise_row(void *context, int y)
{
    const vq_quantising *task = context;
    const float *h = task->h + (size_t)y * task->width * task->channels;
    char *out = task->out.first + y * task->out.row;
    for (int x = 0; x < task->width; x++, h += task->channels, out += task->out.pixel) {
        task->rows->to_bytes(h, task->inverse, task->channels, (uint8_t *)out);
        memset(out + task->channels, 0, task->gap);
    }
}

static size_t map_bytes(const vq_conv_layer *layer, int height, int width)
{
    return (size_t)(height + 2 * MARGIN) * (width + 2 * MARGIN) * layer->groups * 4;
}

/* The inner part of a map with a margin of the layer's zero. */
static vq_map with_margin(char *memory, const vq_conv_layer *layer, int height, int width)
{
    vq_map map = vq_dense(memory, (size_t)layer->groups * 4, width + 2 * MARGIN);
    for (int edge = 0; edge < MARGIN; edge++) {
        memset(memory + edge * map.row, layer->zero, map.row);
        memset(memory + (height + MARGIN + edge) * map.row, layer->zero, map.row);
    }
    for (int y = MARGIN; y < height + MARGIN; y++) {
        memset(memory + y * map.row, layer->zero, MARGIN * map.pixel);
        memset(memory + (y + 1) * map.row - MARGIN * map.pixel, layer->zero, MARGIN * map.pixel);
    }
    map.first += MARGIN * (map.row + map.pixel);
    return map;
}

int vq_block(int threads, float *h, int height, int width, const float *inverse, const vq_conv_layer *layer1,
             const float *scale1, const float *bias1, const vq_conv_layer *layer2, const float *scale2,
             const float *bias2)
{
    void *memory;
    const size_t bytes = map_bytes(layer1, height, width);
    char *maps = vq_aligned(bytes + map_bytes(layer2, height, width), &memory);
    if (!maps)
        return -1;
    const vq_map x = with_margin(maps, layer1, height, width);
    const vq_map r = with_margin(maps + bytes, layer2, height, width);
    const vq_map out = vq_dense(h, layer2->outputs * sizeof *h, width);
    if (layer2->inputs % 4)
        memset(maps + bytes, 0, map_bytes(layer2, height, width));

    vq_quantising quantising = {h, inverse,      width, layer1->inputs, x.pixel - layer1->inputs,
                                x, vq_rows_now()};
    vq_pool_run(threads, height, quantise_row, &quantising);
    vq_convolution task = {.layer = layer1, .height = height, .width = width, .in = x, .margin = MARGIN};
    task.scale = scale1;
    task.bias = bias1;
    task.result = VQ_BYTES;
    task.out = r;
    int status = vq_convolve(threads, &task);
    task.layer = layer2;
    task.in = r;
    task.scale = scale2;
    task.bias = bias2;
    task.result = VQ_ADDED;
    task.out = out;
    if (status == 0)
        status = vq_convolve(threads, &task);
    free(memory);
    return status;
}
