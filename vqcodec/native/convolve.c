#include "convolve.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dot7.h"
#include "pool.h"
#include "rows.h"
#include "winograd.h"

/* A part of the work: some runs of pixels next to each other, one run a row, or, with 1x1 kernels, for which
   rows do not matter, one after the other. The weights of a slab of outputs stay in the cache for all of its
   runs. */
enum { RUNS = 8, RUN = 96, SLAB = 128, MOST_KERNEL = 3 };

typedef struct {
    const vq_convolution *task;
    const vq_rows *rows;
    int copied;  /* inputs are copied first, to add a margin or to complete groups */
    int columns; /* parts next to each other */
    int runs;    /* runs of a part */
    atomic_int failed;
} vq_work;

vq_map vq_dense(void *first, size_t pixel, int width)
{
    return (vq_map){first, pixel, pixel * width};
}

static size_t input_bytes(const vq_conv_layer *layer)
{
    return (size_t)layer->inputs * (layer->dot == VQ_DOT8 ? 1 : 2);
}

/* Copies rows y0 - k/2 .. and columns x0 - k/2 .. of the input, with zeros outside. */
static void copy(const vq_convolution *task, int y0, int x0, int rows, int columns, char *to)
{
    const vq_conv_layer *layer = task->layer;
    const size_t bytes = input_bytes(layer), pixel = (size_t)layer->groups * 4;
    const int left = x0 < 0 ? -x0 : 0;
    const int right = x0 + columns > task->width ? x0 + columns - task->width : 0;
    for (int y = y0; y < y0 + rows; y++, to += columns * pixel) {
        if (y < -task->above || y >= task->height + task->below) {
            memset(to, layer->zero, columns * pixel);
            continue;
        }
        const char *from = task->in.first + y * (ptrdiff_t)task->in.row + (x0 + left) * task->in.pixel;
        memset(to, layer->zero, left * pixel);
        memset(to + (columns - right) * pixel, layer->zero, right * pixel);
        char *inner = to + left * pixel;
        const int count = columns - left - right;
        if (bytes == pixel && task->in.pixel == pixel) {
            memcpy(inner, from, count * pixel);
            continue;
        }
        for (int x = 0; x < count; x++, inner += pixel, from += task->in.pixel) {
            memcpy(inner, from, bytes);
            memset(inner + bytes, 0, pixel - bytes);
        }
    }
}

/* `finish` for float32 whose outputs are those of n x n pixels: a run for each row of these. */
static void shuffled(const vq_work *work, const int32_t *sums, size_t stride, int y, int x, int width, int o,
                     int outputs)
{
    const vq_convolution *task = work->task;
    const int n = task->shuffle, each = task->layer->outputs / n; /* outputs of n pixels of a row */
    const size_t pixel = task->out.pixel / sizeof(float);
    for (int first = o, count; first < o + outputs; first += count) {
        const int i = first / each, within = first % each;
        count = each - within < o + outputs - first ? each - within : o + outputs - first;
        const vq_affine affine = {task->layer->offset + first, task->scale + first, task->bias + first};
        float *out = (float *)(task->out.first + ((size_t)y * n + i) * task->out.row) + x * n * pixel + within;
        work->rows->sums_to_floats(sums + first - o, stride, width, count, &affine, task->result == VQ_ADDED, out,
                                   n * pixel);
    }
}

/* Sums of one run for a slab of outputs, and what becomes of them. */
static void finish(const vq_work *work, const int32_t *sums, size_t stride, int y, int x, int width, int o,
                   int outputs)
{
    const vq_convolution *task = work->task;
    const vq_affine affine = {task->layer->offset + o, task->scale + o, task->bias + o};
    const size_t all = task->layer->outputs;
    if (task->shuffle > 1) {
        shuffled(work, sums, stride, y, x, width, o, outputs);
        return;
    }
    char *out = task->out.first + y * task->out.row + x * task->out.pixel;
    if (task->result == VQ_BYTES) {
        const float *add = (const float *)task->add;
        add = add ? add + ((size_t)y * task->width + x) * all + o : NULL;
        work->rows->sums_to_bytes(sums, stride, width, outputs, &affine, add, all, (uint8_t *)out + o,
                                  task->out.pixel);
    } else {
        work->rows->sums_to_floats(sums, stride, width, outputs, &affine, task->result == VQ_ADDED,
                                   (float *)out + o, task->out.pixel / sizeof(float));
    }
}

#ifdef VQ_WINOGRAD
/* A part by tiles of 2x2 outputs, from inputs with their margin; 0, or -1 where memory ran out. */
static int tiled_part(const vq_work *work, const char *in, size_t row, int y0, int x0, int rows, int width)
{
    const vq_conv_layer *layer = work->task->layer;
    const int tiles = (width + 1) / 2;
    const size_t entered = vq_winograd_room(layer, tiles), plane = (size_t)tiles * VQ_TILE_OUTPUTS * sizeof(int32_t);
    void *memory;
    char *scratch = vq_aligned(entered + (VQ_TILE_PRODUCTS + 4) * plane, &memory);
    if (!scratch)
        return -1;
    int32_t *products = (int32_t *)(scratch + entered), *sums = (int32_t *)(scratch + entered + VQ_TILE_PRODUCTS * plane);
    for (int y = 0; y < rows; y += 2) {
        vq_winograd_enter(layer, in + y * row, row, rows - y + 2, width + 2, tiles, (int16_t *)scratch);
        for (int o = 0; o < layer->outputs; o += VQ_TILE_OUTPUTS) {
            const int outputs = layer->outputs - o < VQ_TILE_OUTPUTS ? layer->outputs - o : VQ_TILE_OUTPUTS;
            const int padded = vq_padded(outputs);
            vq_winograd_sums(layer, (const int16_t *)scratch, tiles, o, padded, products, sums);
            for (int i = 0; i < 2 && y + i < rows; i++)
                finish(work, sums + (size_t)i * 2 * tiles * padded, padded, y0 + y + i, x0, width, o, outputs);
        }
    }
    free(memory);
    return 0;
}
#endif

static void part(void *context, int number)
{
    vq_work *work = context;
    const vq_convolution *task = work->task;
    const vq_conv_layer *layer = task->layer;
    const int kernel = layer->kernel, reach = kernel / 2;
    const int y0 = number / work->columns * work->runs, x0 = number % work->columns * RUN;
    const int rows = task->height - y0 < work->runs ? task->height - y0 : work->runs;
    const int width = task->width - x0 < RUN ? task->width - x0 : RUN;
    const int around = width + 2 * reach;

    const size_t row = work->copied ? (size_t)around * layer->groups * 4 : task->in.row;
    const size_t sums_bytes = (size_t)width * SLAB * sizeof(int32_t);
    void *memory;
    const size_t copied_bytes = work->copied ? (rows + 2 * reach) * row : 0;
    size_t room = 0;
#ifdef VQ_DOT7
    room = layer->dot == VQ_DOT8 ? vq_dot7_room(layer, rows, width) : 0;
#endif
    char *sums = vq_aligned(sums_bytes + room + copied_bytes, &memory);
    if (!sums) {
        atomic_store(&work->failed, 1);
        return;
    }
    const char *in =
        task->in.first + (y0 - reach) * (ptrdiff_t)row + (x0 - reach) * (ptrdiff_t)task->in.pixel;
    if (work->copied) {
        copy(task, y0 - reach, x0 - reach, rows + 2 * reach, around, sums + sums_bytes + room);
        in = sums + sums_bytes + room;
    }
#ifdef VQ_WINOGRAD
    if (layer->transformed) {
        if (tiled_part(work, in, row, y0, x0, rows, width) < 0)
            atomic_store(&work->failed, 1);
        free(memory);
        return;
    }
#endif
#ifdef VQ_DOT7
    vq_lowered lowered;
    if (layer->dot == VQ_DOT8)
        lowered = vq_dot7_enter(layer, in, row, rows, width, sums + sums_bytes);
#endif
    for (int o = 0; o < layer->outputs; o += SLAB) {
        const int outputs = layer->outputs - o < SLAB ? layer->outputs - o : SLAB;
        for (int y = 0; y < rows; y++) {
            const void *pointers[MOST_KERNEL];
            for (int r = 0; r < kernel; r++)
                pointers[r] = in + (y + r) * row;
#ifdef VQ_DOT7
            if (layer->dot == VQ_DOT8)
                vq_dot7_row(layer, &lowered, y, o, vq_padded(outputs), (int32_t *)sums);
            else
#endif
                vq_conv_row(layer->dot, pointers, layer->groups, kernel, 1, width,
                            (const char *)layer->packed + o / VQ_OUTPUTS * layer->block, vq_padded(outputs),
                            (int32_t *)sums);
            finish(work, (const int32_t *)sums, vq_padded(outputs), y0 + y, x0, width, o, outputs);
        }
    }
    free(memory);
}

static int on_grid(int threads, const vq_convolution *task)
{
    vq_work work = {.task = task, .rows = vq_rows_now()};
    work.copied = task->margin < task->layer->kernel / 2 || task->in.pixel != (size_t)task->layer->groups * 4;
    work.columns = (task->width + RUN - 1) / RUN;
    /* A few parts for each thread, since threads may be held up. */
    const int share = threads == 1 ? RUNS : task->height * work.columns / (4 * threads);
    work.runs = share < 1 ? 1 : share < RUNS ? share : RUNS;
    vq_pool_run(threads, work.columns * ((task->height + work.runs - 1) / work.runs), part, &work);
    return atomic_load(&work.failed) ? -1 : 0;
}

int vq_convolve(int threads, const vq_convolution *convolution)
{
    vq_convolution task = *convolution;
    const vq_map in = task.in, out = task.out;
    const int dense = task.shuffle < 2 && in.row == in.pixel * task.width && out.row == out.pixel * task.width;
    if (task.layer->kernel > 1 || !dense)
        return on_grid(threads, &task);
    /* Rows do not matter: cut all pixels into runs, and what is left. */
    const int pixels = task.height * task.width, rest = pixels % RUN, whole = pixels - rest;
    task.height = whole / RUN;
    task.width = RUN;
    task.in.row = in.pixel * RUN;
    task.out.row = out.pixel * RUN;
    if (whole && on_grid(threads, &task) < 0)
        return -1;
    task.height = 1;
    task.width = rest;
    task.in.first += whole * in.pixel;
    task.out.first += whole * out.pixel;
    if (task.add)
        task.add += (size_t)whole * task.layer->outputs * sizeof(float);
    return rest ? on_grid(1, &task) : 0;
}
