/* The restoration's last step. Filtering by a kernel of 5x5 pixels is a 3x3 convolution of cells, of the 4
   pixels of one colour to the 4 answers of each kernel, in words of 2 pixels. */
#include "mend.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "conv_layer.h"
#include "picture.h"
#include "pool.h"

enum { SIDE = 5, CELL_WORDS = 24, FIRST = 9, ROWS = 16 };

/* Weights (4 * count, 3, 3, 4) for one colour. */
static void spread(const int16_t *kernels, int count, int16_t *weights)
{
    memset(weights, 0, sizeof *weights * 4 * count * 9 * 4);
    for (int k = 0; k < count; k++)
        for (int place = 0; place < 4; place++)
            for (int i = 0; i < SIDE; i++)
                for (int j = 0; j < SIDE; j++) {
                    /* From the corner of the cell above and to the left. */
                    const int y = place / 2 + i, x = place % 2 + j;
                    const int from = (y / 2 * 3 + x / 2) * 4 + y % 2 * 2 + x % 2;
                    weights[(4 * k + place) * 36 + from] = kernels[(k * SIDE + i) * SIDE + j];
                }
}

/* The pixels of one colour in a row of cells and one more on each side; beyond the border, those at the
 * border. */
static void plane_row(const vq_mending *task, int cell_row, int colour, int16_t *out)
{
    const int half = task->width / 2, rows = task->height / 2;
    const int y = cell_row < 0 ? 0 : cell_row < rows ? cell_row : rows - 1;
    const size_t above = y - task->cells_first;
    const int16_t *from = task->cells + above * half * CELL_WORDS + FIRST + 4 * colour;
    for (int x = 0; x < half; x++)
        memcpy(out + 4 * (x + 1), from + (size_t)x * CELL_WORDS, 4 * sizeof *out);
    int16_t *right = out + 4 * (half + 1);
    for (int i = 0; i < 4; i += 2) {
        out[i] = out[i + 1] = out[4 + i];
        right[i] = right[i + 1] = right[i - 3];
    }
    if (cell_row != y)
        for (int x = 0; x < half + 2; x++, out += 4)
            memcpy(out + (cell_row < 0 ? 2 : 0), out + (cell_row < 0 ? 0 : 2), 2 * sizeof *out);
}

int vq_mend_start(vq_mending *task, const int16_t *kernels, int count)
{
    const size_t bytes = vq_packed_size(VQ_DOT16, 4 * count, 3, 4);
    char *packed = vq_aligned(3 * bytes + sizeof(int16_t) * 4 * count * 36, &task->memory);
    if (!packed)
        return -1;
    int16_t *weights = (int16_t *)(packed + 3 * bytes);
    for (int c = 0; c < 3; c++) {
        spread(kernels + (size_t)c * count * SIDE * SIDE, count, weights);
        task->packed[c] = packed + c * bytes;
        vq_pack(VQ_DOT16, weights, 4 * count, 3, 4, task->packed[c]);
    }
    task->count = count;
    task->rows = vq_rows_now();
    return 0;
}

size_t vq_mend_scratch(const vq_mending *task, int rows)
{
    const size_t half = task->width / 2, planes = 3 * (half + 2) * 4 * (rows + 2) * sizeof(int16_t);
    return 3 * half * vq_answers(task->count) * sizeof(int32_t) + 6 * task->width * sizeof(float) + planes;
}

void vq_mend_rows(const vq_mending *task, int first, int rows, void *scratch, vq_gates *gates, void *context)
{
    const int half = task->width / 2, each = vq_answers(task->count), padded = half + 2;
    const size_t plane = (size_t)(rows + 2) * padded * 4, answers = (size_t)half * each;
    int32_t *sums = scratch;
    float *change = (float *)(sums + 3 * answers);
    int16_t *planes = (int16_t *)(change + 6 * (size_t)task->width);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < rows + 2; y++)
            plane_row(task, first + y - 1, c, planes + c * plane + (size_t)y * padded * 4);
    for (int y = 0; y < rows; y++) {
        for (int c = 0; c < 3; c++) {
            const void *pointers[3];
            for (int r = 0; r < 3; r++)
                pointers[r] = planes + c * plane + (size_t)(y + r) * padded * 4;
            vq_conv_row(VQ_DOT16, pointers, 2, 3, 1, half, task->packed[c], each, sums + c * answers);
        }
        const size_t pixels = (size_t)(first + y) * 6 * task->width;
        task->rows->mend(task->u + pixels, gates(context, first + y), sums, task->width, task->count,
                         task->colour, change, task->out + pixels);
    }
}

typedef struct {
    vq_mending mending;
    const float *f;
    atomic_int failed;
} vq_mend_work;

static const float *gates_of(void *context, int row)
{
    const vq_mend_work *work = context;
    return work->f + (size_t)row * (work->mending.width / 2) * (12 + 12 * work->mending.count);
}

static void mend_part(void *context, int part)
{
    vq_mend_work *work = context;
    const int first = part * ROWS, left = work->mending.height / 2 - first, rows = left < ROWS ? left : ROWS;
    void *memory, *scratch = vq_aligned(vq_mend_scratch(&work->mending, rows), &memory);
    if (scratch)
        vq_mend_rows(&work->mending, first, rows, scratch, gates_of, work);
    else
        atomic_store(&work->failed, 1);
    free(memory);
}

int vq_mend(int threads, const float *u, const int16_t *cells, const float *f, int height, int width,
            const int16_t *kernels, int count, const float *colour, uint8_t *out)
{
    vq_mend_work work = {.mending = {.u = u, .colour = colour, .cells = cells, .height = height}, .f = f};
    work.mending.width = width;
    work.mending.out = out;
    if (vq_mend_start(&work.mending, kernels, count) < 0)
        return -1;
    vq_pool_run(threads, (height / 2 + ROWS - 1) / ROWS, mend_part, &work);
    free(work.mending.memory);
    return atomic_load(&work.failed) ? -1 : 0;
}
