#include <stdlib.h>

#include "isa.h"
#include "layer.h"
#include "pool.h"

enum { PIXELS = VQ_PLAN_PIXELS, OUTPUTS = VQ_PLAN_OUTPUTS };

/* Shifts of negative numbers round down: here of numbers made positive, which every vector unit can do. */
static const int64_t POSITIVE = (int64_t)1 << 62;

static void set_scale(vq_plan *plan, int level)
{
    const vq_layer *layer = plan->layer;
    int knot = level / VQ_LEVELS_PER_KNOT, part = level % VQ_LEVELS_PER_KNOT;
    int after = knot + 1 < layer->knots ? knot + 1 : layer->knots - 1;
    for (int o = 0; o < layer->outputs; o++) {
        int64_t bias = layer->bias[o];
        if (layer->knots > 1) {
            int64_t low = layer->bias[knot * layer->outputs + o], high = layer->bias[after * layer->outputs + o];
            int64_t sum = low * (VQ_LEVELS_PER_KNOT - part) + high * part + VQ_LEVELS_PER_KNOT / 2;
            bias = (sum + POSITIVE) / VQ_LEVELS_PER_KNOT - POSITIVE / VQ_LEVELS_PER_KNOT;
        }
        plan->base[o] = (int32_t)bias - (plan->dot == VQ_DOT8 ? layer->zero[o] : 0);
        plan->multiplier[o] = layer->multiplier[o];
        plan->shift[o] = layer->shift[o];
        plan->add[o] = POSITIVE + ((int64_t)1 << (layer->shift[o] - 1));
        plan->less[o] = POSITIVE >> layer->shift[o];
    }
}

int vq_plan_start(vq_plan *plan, vq_layer *layer, int level)
{
    size_t outputs = (size_t)layer->outputs;
    *plan = (vq_plan){.layer = layer, .dot = vq_layer_dot()};
    plan->packed = vq_layer_packed(layer, plan->dot);
    plan->add = malloc(outputs * (3 * sizeof *plan->add + 2 * sizeof *plan->base));
    if (plan->packed == NULL || plan->add == NULL)
        return -1;
    plan->less = plan->add + outputs;
    plan->shift = plan->less + outputs;
    plan->base = (int32_t *)(plan->shift + outputs);
    plan->multiplier = plan->base + outputs;
    plan->block = vq_packed_size(plan->dot, VQ_OUTPUTS, layer->kernel, layer->inputs);
    plan->pixel = (size_t)vq_groups(plan->dot, layer->inputs) * 4;
    set_scale(plan, level);
    return 0;
}

void vq_plan_free(vq_plan *plan)
{
    free(plan->add);
    plan->add = NULL;
}

static inline int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* Outputs first..first+count of one pixel, from their sums. */
VQ_INLINE void finish_pixel(const vq_plan *plan, vq_finish finish, const int32_t *restrict acc, int first, int count,
                            void *out)
{
    const int32_t *restrict base = plan->base + first, *restrict multiplier = plan->multiplier + first;
    const int64_t *restrict add = plan->add + first, *restrict less = plan->less + first;
    const int64_t *restrict shift = plan->shift + first;
    int64_t values[OUTPUTS];
    for (int o = 0; o < count; o++) {
        int64_t sum = (int64_t)(acc[o] + base[o]) * multiplier[o] + add[o];
        values[o] = (int64_t)((uint64_t)sum >> shift[o]) - less[o];
    }
    uint8_t *restrict bytes = (uint8_t *)out + first;
    int32_t *restrict integers = (int32_t *)out + first;
    if (finish == VQ_INTEGERS)
        for (int o = 0; o < count; o++)
            integers[o] = (int32_t)clamp(values[o], -VQ_INTEGER_MAX, VQ_INTEGER_MAX);
    else if (finish == VQ_BYTES)
        for (int o = 0; o < count; o++)
            bytes[o] = (uint8_t)clamp(values[o], 0, 255);
    else
        for (int o = 0; o < count; o++)
            bytes[o] = (uint8_t)clamp(values[o] + bytes[o], 0, 255);
}

VQ_INLINE void finish_all(const vq_plan *plan, vq_finish finish, const int32_t *acc, int first, int count, char *out,
                          int pixels)
{
    size_t step = (size_t)plan->layer->outputs * (finish == VQ_INTEGERS ? sizeof(int32_t) : 1);
    for (int x = 0; x < pixels; x++, out += step, acc += vq_padded(count))
        finish_pixel(plan, finish, acc, first, count, out);
}

static void finish_portable(const vq_plan *plan, vq_finish finish, const int32_t *acc, int first, int count, char *out,
                            int pixels)
{
    finish_all(plan, finish, acc, first, count, out, pixels);
}

#ifdef VQ_X86
VQ_TARGET_AVX2 static void finish_avx2(const vq_plan *plan, vq_finish finish, const int32_t *acc, int first, int count,
                                       char *out, int pixels)
{
    finish_all(plan, finish, acc, first, count, out, pixels);
}

VQ_TARGET_AVX512 static void finish_avx512(const vq_plan *plan, vq_finish finish, const int32_t *acc, int first,
                                           int count, char *out, int pixels)
{
    finish_all(plan, finish, acc, first, count, out, pixels);
}
#endif

static void finish_some(const vq_plan *plan, vq_finish finish, const int32_t *acc, int first, int count, char *out,
                        int pixels)
{
#ifdef VQ_X86
    if (vq_isa_now() >= VQ_AVX512VNNI) {
        finish_avx512(plan, finish, acc, first, count, out, pixels);
        return;
    }
    if (vq_isa_now() != VQ_PORTABLE) {
        finish_avx2(plan, finish, acc, first, count, out, pixels);
        return;
    }
#endif
    finish_portable(plan, finish, acc, first, count, out, pixels);
}

void vq_plan_some(const vq_plan *plan, const void *const *rows, int step, int first, int pixels, vq_finish finish,
                  void *out)
{
    int32_t acc[PIXELS * OUTPUTS];
    int count = plan->layer->outputs - first < OUTPUTS ? plan->layer->outputs - first : OUTPUTS;
    vq_conv_row(plan->dot, rows, (int)(plan->pixel / 4), plan->layer->kernel, step, pixels,
                plan->packed + (size_t)(first / VQ_OUTPUTS) * plan->block, vq_padded(count), acc);
    finish_some(plan, finish, acc, first, count, out, pixels);
}

void vq_plan_all(const vq_plan *plan, const void *in, int pixels, vq_finish finish, void *out)
{
    for (int first = 0; first < plan->layer->outputs; first += OUTPUTS)
        vq_plan_some(plan, &in, 1, first, pixels, finish, out);
}

typedef struct {
    const vq_plan *plan;
    const vq_map *map;
    vq_grid grid;
    int rows, columns, stripes; /* stripes: parts that the outputs are cut in */
    vq_finish finish;
    char *out;
} vq_run;

/* Some outputs of a part of a row. */
static void tile(const vq_run *run, int stripe, int y, int x, int pixels)
{
    const vq_map *map = run->map;
    const vq_grid *grid = &run->grid;
    const void *rows[3];
    for (int i = 0; i < run->plan->layer->kernel; i++)
        rows[i] = map->data + (size_t)(grid->top + y * grid->step + i) * map->row +
                  (size_t)(grid->left + x * grid->step) * map->pixel;
    size_t place = ((size_t)y * (size_t)run->columns + (size_t)x) * (size_t)run->plan->layer->outputs;
    vq_plan_some(run->plan, rows, grid->step, stripe * OUTPUTS, pixels, run->finish,
                 run->out + place * (run->finish == VQ_INTEGERS ? sizeof(int32_t) : 1));
}

/* 3x3: a row and a stripe of outputs, stripe by stripe; 1x1: some pixels, whose inputs are few. */
static void part(void *context, int number)
{
    const vq_run *run = context;
    int whole = run->plan->layer->kernel == 1;
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
    vq_plan plan;
    vq_run run = {.plan = &plan, .map = map, .grid = grid, .finish = finish, .out = out};
    if (vq_plan_start(&plan, layer, level) < 0) {
        vq_plan_free(&plan);
        return -1;
    }
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
    vq_plan_free(&plan);
    return 0;
}
