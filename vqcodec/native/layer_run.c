#include <stdlib.h>

#include "isa.h"
#include "layer.h"
#include "pool.h"

enum { PIXELS = 48, OUTPUTS = 64 }; /* at a time: their sums and weights stay in the inner caches */

typedef struct {
    const vq_layer *layer;
    const vq_map *map;
    const char *packed;
    size_t block; /* bytes of the weights of VQ_OUTPUTS outputs */
    vq_grid grid;
    int rows, columns, stripes; /* stripes: parts that the outputs are cut in */
    vq_finish finish;
    void *out;
    int32_t *base, *multiplier; /* (outputs,) */
    int64_t *add, *less, *shift;
} vq_run;

/* Shifts of negative numbers round down: here of numbers made positive, which every vector unit can do. */
static const int64_t POSITIVE = (int64_t)1 << 62;

static void set_scale(vq_run *run, int level)
{
    const vq_layer *layer = run->layer;
    int knot = level / VQ_LEVELS_PER_KNOT, part = level % VQ_LEVELS_PER_KNOT;
    int after = knot + 1 < layer->knots ? knot + 1 : layer->knots - 1;
    for (int o = 0; o < layer->outputs; o++) {
        int64_t bias = layer->bias[o];
        if (layer->knots > 1) {
            int64_t low = layer->bias[knot * layer->outputs + o], high = layer->bias[after * layer->outputs + o];
            int64_t sum = low * (VQ_LEVELS_PER_KNOT - part) + high * part + VQ_LEVELS_PER_KNOT / 2;
            bias = (sum + POSITIVE) / VQ_LEVELS_PER_KNOT - POSITIVE / VQ_LEVELS_PER_KNOT;
        }
        run->base[o] = (int32_t)bias - (run->map->dot == VQ_DOT8 ? layer->zero[o] : 0);
        run->multiplier[o] = layer->multiplier[o];
        run->shift[o] = layer->shift[o];
        run->add[o] = POSITIVE + ((int64_t)1 << (layer->shift[o] - 1));
        run->less[o] = POSITIVE >> layer->shift[o];
    }
}

static inline int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* Outputs first..first+count of one pixel, from their sums. */
VQ_INLINE void finish_pixel(const vq_run *run, const int32_t *restrict acc, int first, int count, size_t pixel)
{
    const int32_t *restrict base = run->base + first, *restrict multiplier = run->multiplier + first;
    const int64_t *restrict add = run->add + first, *restrict less = run->less + first;
    const int64_t *restrict shift = run->shift + first;
    size_t place = pixel * (size_t)run->layer->outputs + (size_t)first;
    int64_t values[OUTPUTS];
    for (int o = 0; o < count; o++) {
        int64_t sum = (int64_t)(acc[o] + base[o]) * multiplier[o] + add[o];
        values[o] = (int64_t)((uint64_t)sum >> shift[o]) - less[o];
    }
    uint8_t *restrict bytes = (uint8_t *)run->out + place;
    int32_t *restrict integers = (int32_t *)run->out + place;
    if (run->finish == VQ_INTEGERS)
        for (int o = 0; o < count; o++)
            integers[o] = (int32_t)clamp(values[o], -VQ_INTEGER_MAX, VQ_INTEGER_MAX);
    else if (run->finish == VQ_BYTES)
        for (int o = 0; o < count; o++)
            bytes[o] = (uint8_t)clamp(values[o], 0, 255);
    else
        for (int o = 0; o < count; o++)
            bytes[o] = (uint8_t)clamp(values[o] + bytes[o], 0, 255);
}

VQ_INLINE void finish_all(const vq_run *run, const int32_t *acc, int first, int count, int stride, size_t pixel,
                          int pixels)
{
    for (int x = 0; x < pixels; x++)
        finish_pixel(run, acc + (size_t)x * (size_t)stride, first, count, pixel + (size_t)x);
}

static void finish_portable(const vq_run *run, const int32_t *acc, int first, int count, int stride,
                            size_t pixel, int pixels)
{
    finish_all(run, acc, first, count, stride, pixel, pixels);
}

#ifdef VQ_X86
VQ_TARGET_AVX2 static void finish_avx2(const vq_run *run, const int32_t *acc, int first, int count, int stride,
                                       size_t pixel, int pixels)
{
    finish_all(run, acc, first, count, stride, pixel, pixels);
}

VQ_TARGET_AVX512 static void finish_avx512(const vq_run *run, const int32_t *acc, int first, int count,
                                           int stride, size_t pixel, int pixels)
{
    finish_all(run, acc, first, count, stride, pixel, pixels);
}
#endif

static void finish(const vq_run *run, const int32_t *acc, int first, int count, int stride, size_t pixel,
                   int pixels)
{
#ifdef VQ_X86
    if (vq_isa_now() >= VQ_AVX512VNNI) {
        finish_avx512(run, acc, first, count, stride, pixel, pixels);
        return;
    }
    if (vq_isa_now() != VQ_PORTABLE) {
        finish_avx2(run, acc, first, count, stride, pixel, pixels);
        return;
    }
#endif
    finish_portable(run, acc, first, count, stride, pixel, pixels);
}

/* Some outputs of a part of a row. */
static void tile(const vq_run *run, int stripe, int y, int x, int pixels)
{
    int32_t acc[PIXELS * OUTPUTS];
    const vq_map *map = run->map;
    const vq_grid *grid = &run->grid;
    const void *rows[3];
    int first = stripe * OUTPUTS, count = run->layer->outputs - first;
    count = count < OUTPUTS ? count : OUTPUTS;
    for (int i = 0; i < run->layer->kernel; i++)
        rows[i] = map->data + (size_t)(grid->top + y * grid->step + i) * map->row +
                  (size_t)(grid->left + x * grid->step) * map->pixel;
    vq_conv_row(map->dot, rows, (int)(map->pixel / 4), run->layer->kernel, grid->step, pixels,
                run->packed + (size_t)(first / VQ_OUTPUTS) * run->block, vq_padded(count), acc);
    finish(run, acc, first, count, vq_padded(count), (size_t)y * (size_t)run->columns + (size_t)x, pixels);
}

/* 3x3: a row and a stripe of outputs, stripe by stripe; 1x1: some pixels, whose inputs are few. */
static void part(void *context, int number)
{
    const vq_run *run = context;
    int whole = run->layer->kernel == 1;
    int y = whole ? 0 : number % run->rows, start = whole ? number * PIXELS : 0;
    int end = whole && run->columns - start > PIXELS ? start + PIXELS : run->columns;
    int stripe = whole ? 0 : number / run->rows, last = whole ? run->stripes : stripe + 1;
    for (; stripe < last; stripe++)
        for (int x = start; x < end; x += PIXELS)
            tile(run, stripe, y, x, end - x < PIXELS ? end - x : PIXELS);
}

int vq_layer_run(vq_layer *layer, const vq_map *map, vq_grid grid, int level, vq_finish finish, void *out,
                 int threads)
{
    vq_run run = {.layer = layer, .map = map, .grid = grid, .finish = finish, .out = out};
    size_t outputs = (size_t)layer->outputs;
    run.packed = vq_layer_packed(layer, map->dot);
    run.add = malloc(outputs * (3 * sizeof *run.add + 2 * sizeof *run.base));
    if (run.packed == NULL || run.add == NULL) {
        free(run.add);
        return -1;
    }
    run.less = run.add + outputs;
    run.shift = run.less + outputs;
    run.base = (int32_t *)(run.shift + outputs);
    run.multiplier = run.base + outputs;
    set_scale(&run, level);
    run.block = vq_packed_size(map->dot, VQ_OUTPUTS, layer->kernel, layer->inputs);
    run.rows = (map->height - grid.top + grid.step - 1) / grid.step;
    run.columns = (map->width - grid.left + grid.step - 1) / grid.step;
    run.stripes = (layer->outputs + OUTPUTS - 1) / OUTPUTS;
    int parts = run.rows * run.stripes;
    if (layer->kernel == 1) {
        /* Without borders all pixels are one row. */
        run.columns *= run.rows;
        run.rows = 1;
        parts = (run.columns + PIXELS - 1) / PIXELS;
    }
    if (run.rows > 0 && run.columns > 0)
        vq_pool_run(threads, parts, part, &run);
    free(run.add);
    return 0;
}
