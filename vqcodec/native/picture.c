#include "picture.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "rows.h"

enum { BLOCK = 16, HALF = BLOCK / 2, CELL_WORDS = 24 };

typedef struct {
    const float *matrix;
    float by_column[BLOCK * BLOCK];
    int height, width, channels;
    float *x;
    const vq_rows *rows;
} vq_lapping;

static void along(const vq_lapping *task, int y)
{
    float *row = task->x + (size_t)y * task->width * task->channels;
    for (int x = HALF; x + BLOCK <= task->width - HALF; x += BLOCK)
        task->rows->lap_along(row + (size_t)x * task->channels, task->channels, task->by_column);
}

/* Band 0 is what lies above the first boundary's samples, the last what lies below those of the last. */
static void lap_band(void *context, int band)
{
    const vq_lapping *task = context;
    const size_t count = (size_t)task->width * task->channels;
    const int top = band ? band * BLOCK - HALF : 0;
    const int bottom =
        top + (band ? BLOCK : HALF) < task->height ? top + (band ? BLOCK : HALF) : task->height;
    if (bottom - top == BLOCK)
        task->rows->lap_down(task->x + top * count, count, count, task->matrix);
    for (int y = top; y < bottom; y++)
        along(task, y);
}

void vq_lap(int threads, float *x, int height, int width, int channels, const float *matrix)
{
    vq_lapping task = {.x = x, .matrix = matrix, .height = height, .width = width, .channels = channels};
    task.rows = vq_rows_now();
    for (int i = 0; i < BLOCK; i++)
        for (int k = 0; k < BLOCK; k++)
            task.by_column[k * BLOCK + i] = matrix[i * BLOCK + k];
    vq_pool_run(threads, height / BLOCK + 1, lap_band, &task);
}

typedef struct {
    const float *u;
    int height, width;
    int16_t *out;
    const vq_rows *rows;
    atomic_int failed;
} vq_looking;

static void look(void *context, int y)
{
    vq_looking *task = context;
    const size_t row = (size_t)task->width * 3;
    const float *top = task->u + 2 * y * row, *bottom = top + row;
    const float *below = 2 * y + 2 < task->height ? bottom + row : bottom;
    float *scratch = malloc(sizeof(float) * CELL_WORDS * task->width);
    if (scratch)
        task->rows->cells(top, bottom, below, task->width, scratch,
                          task->out + (size_t)y * (task->width / 2) * CELL_WORDS);
    else
        atomic_store(&task->failed, 1);
    free(scratch);
}

int vq_cells(int threads, const float *u, int height, int width, int16_t *out)
{
    vq_looking task = {.u = u, .height = height, .width = width, .out = out, .rows = vq_rows_now()};
    vq_pool_run(threads, height / 2, look, &task);
    return atomic_load(&task.failed) ? -1 : 0;
}

typedef struct {
    const char *x;
    int width, n, back;
    size_t piece; /* bytes of the n pixels that stay together */
    char *out;
} vq_shuffling;

static void shuffle_row(void *context, int y)
{
    const vq_shuffling *task = context;
    const size_t row = task->piece * task->n * task->width;
    for (int i = 0; i < task->n; i++)
        for (int x = 0; x < task->width; x++) {
            const size_t deep = y * row + (x * (size_t)task->n + i) * task->piece;
            const size_t flat = y * row + (i * (size_t)task->width + x) * task->piece;
            memcpy(task->out + (task->back ? deep : flat), task->x + (task->back ? flat : deep), task->piece);
        }
}

void vq_shuffle(int threads, const char *x, int height, int width, int n, size_t bytes, int back, char *out)
{
    vq_shuffling task = {x, width, n, back, n * bytes, out};
    vq_pool_run(threads, height, shuffle_row, &task);
}
