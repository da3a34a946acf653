#include "restore.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "convolve.h"
#include "mend.h"
#include "pool.h"

/* Rows of cells of a part, a multiple of LED; of the guide's rows, each leads LED rows of cells. */
enum { ROWS = 16, LED = 4, CELL_WORDS = 24 };

typedef struct {
    const vq_restoration *task;
    vq_mending mending; /* `cells` is that of each part */
    atomic_int failed;
} vq_work;

/* What one part has between its steps: cells, hidden values after `sense` and after `mix`, by rows of cells.
 */
typedef struct {
    const vq_restoration *task;
    int half; /* cells of a row */
    int16_t *cells;
    float *led, *gates;
    char *sensed, *mixed;
    int cells_first, sensed_first, first; /* rows with which they start */
    int status;
} vq_strip;

static int least(int a, int b)
{
    return a < b ? a : b;
}

static vq_convolution convolution(const vq_scaled *scaled, int height, int width, void *in, void *out,
                                  vq_result result)
{
    const size_t bytes = scaled->layer->dot == VQ_DOT8 ? 1 : 2, each = result == VQ_BYTES ? 1 : sizeof(float);
    return (vq_convolution){
        .layer = scaled->layer,
        .height = height,
        .width = width,
        .in = vq_dense(in, scaled->layer->inputs * bytes, width),
        .scale = scaled->scale,
        .bias = scaled->bias,
        .result = result,
        .out = vq_dense(out, scaled->layer->outputs * each, width),
    };
}

/* One row of the guide to LED rows of cells, shuffled: the outputs of each place in them are a layer. */
static void lead(vq_strip *strip, int row)
{
    const vq_scaled *whole = &strip->task->lead;
    const int features = whole->layer->outputs / (LED * LED), wide = strip->half / LED;
    const uint8_t *guide = strip->task->guide + (size_t)row * wide * whole->layer->inputs;
    for (int place = 0; place < LED * LED; place++) {
        vq_conv_layer layer = *whole->layer;
        layer.outputs = features;
        layer.offset += place * features;
        layer.packed = (char *)layer.packed + place * features / VQ_OUTPUTS * layer.block;
        const vq_scaled part = {&layer, whole->scale + place * features, whole->bias + place * features};
        float *out = strip->led + ((size_t)(place / LED) * strip->half + place % LED) * features;
        vq_convolution task = convolution(&part, 1, wide, (void *)guide, out, VQ_FLOATS);
        task.out = vq_dense(out, LED * features * sizeof(float), wide);
        strip->status |= vq_convolve(1, &task);
    }
}

/* Rows first .. last - 1 of what `sense` gives. */
static void sense(vq_strip *strip, int first, int last)
{
    const vq_scaled *scaled = &strip->task->sense;
    const size_t features = scaled->layer->outputs, all = (size_t)strip->half * features;
    const int height = strip->task->height / 2;
    for (int row = first / LED; row * LED < last; row++) {
        lead(strip, row);
        const int from = row * LED > first ? row * LED : first, to = least(row * LED + LED, last);
        int16_t *in = strip->cells + (size_t)(from - strip->cells_first) * strip->half * CELL_WORDS;
        char *out = strip->sensed + (from - strip->sensed_first) * all;
        vq_convolution task = convolution(scaled, to - from, strip->half, in, out, VQ_BYTES);
        task.above = from > 0;
        task.below = to < height;
        task.add = (const char *)(strip->led + (from - row * LED) * all);
        strip->status |= vq_convolve(1, &task);
    }
}

static const float *gates(void *context, int row)
{
    vq_strip *strip = context;
    const vq_scaled *scaled = &strip->task->filter;
    char *in = strip->mixed + (size_t)(row - strip->first) * strip->half * scaled->layer->inputs;
    const vq_convolution task = convolution(scaled, 1, strip->half, in, strip->gates, VQ_FLOATS);
    strip->status |= vq_convolve(1, &task);
    return strip->gates;
}

static void restore(const vq_work *work, vq_strip *strip, int last, void *scratch)
{
    const vq_restoration *task = work->task;
    const int height = task->height / 2, half = strip->half, first = strip->first;
    const size_t row = (size_t)task->width * 3, features = task->sense.layer->outputs;
    for (int y = strip->cells_first; y < least(last + 2, height); y++) {
        const float *top = task->u + 2 * y * row, *bottom = top + row;
        work->mending.rows->cells(top, bottom, y + 1 < height ? bottom + row : bottom, task->width, scratch,
                                  strip->cells + (size_t)(y - strip->cells_first) * half * CELL_WORDS);
    }
    const int sensed_last = least(last + 1, height);
    sense(strip, strip->sensed_first, sensed_last);
    char *in = strip->sensed + (first - strip->sensed_first) * half * features;
    vq_convolution mix = convolution(&task->mix, last - first, half, in, strip->mixed, VQ_BYTES);
    mix.above = first - strip->sensed_first;
    mix.below = sensed_last - last;
    strip->status |= vq_convolve(1, &mix);
    vq_mending mending = work->mending;
    mending.cells = strip->cells;
    mending.cells_first = strip->cells_first;
    vq_mend_rows(&mending, first, last - first, scratch, gates, strip);
}

static void part(void *context, int number)
{
    vq_work *work = context;
    const vq_restoration *task = work->task;
    const int first = number * ROWS, last = least(first + ROWS, task->height / 2), half = task->width / 2;
    const size_t features = task->sense.layer->outputs, wide = half;
    vq_strip strip = {.task = task, .half = half, .first = first};
    strip.cells_first = first < 2 ? 0 : first - 2;
    strip.sensed_first = first < 1 ? 0 : first - 1;
    const size_t mend = vq_mend_scratch(&work->mending, ROWS), look = sizeof(float) * 24 * task->width;
    const size_t sizes[] = {
        mend > look ? mend : look,                          /* scratch */
        (ROWS + 4) * wide * CELL_WORDS * sizeof(int16_t),   /* cells */
        LED * wide * features * sizeof(float),              /* led */
        wide * task->filter.layer->outputs * sizeof(float), /* gates */
        (ROWS + 2) * wide * features,                       /* sensed */
        ROWS * wide * features,                             /* mixed */
    };
    size_t places[6], total = 0;
    for (int i = 0; i < 6; i++) {
        places[i] = total;
        total += (sizes[i] + 63) / 64 * 64;
    }
    void *memory;
    char *scratch = vq_aligned(total, &memory);
    if (scratch) {
        strip.cells = (int16_t *)(scratch + places[1]);
        strip.led = (float *)(scratch + places[2]);
        strip.gates = (float *)(scratch + places[3]);
        strip.sensed = scratch + places[4];
        strip.mixed = scratch + places[5];
        restore(work, &strip, last, scratch);
    }
    if (!scratch || strip.status)
        atomic_store(&work->failed, 1);
    free(memory);
}

int vq_restore(int threads, const vq_restoration *restoration)
{
    vq_work work = {.task = restoration};
    work.mending.u = restoration->u;
    work.mending.colour = restoration->colour;
    work.mending.height = restoration->height;
    work.mending.width = restoration->width;
    work.mending.out = restoration->out;
    if (vq_mend_start(&work.mending, restoration->kernels, restoration->count) < 0)
        return -1;
    vq_pool_run(threads, (restoration->height / 2 + ROWS - 1) / ROWS, part, &work);
    free(work.mending.memory);
    return atomic_load(&work.failed) ? -1 : 0;
}
