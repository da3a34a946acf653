#include "quantise.h"

#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "rows.h"

enum { LEAST_PERIOD = 64, SHARE = 1 << 16 };

typedef struct {
    const float *h, *inverse; /* inverse: `period` numbers, whole pixels */
    size_t count, period, share;
    int words;
    void *out;
    const vq_rows *rows;
} vq_quantising;

static void quantise_part(void *context, int part)
{
    const vq_quantising *task = context;
    const size_t first = part * task->share;
    const size_t end = task->count - first < task->share ? task->count : first + task->share;
    for (size_t i = first; i < end; i += task->period) {
        const size_t n = end - i < task->period ? end - i : task->period;
        if (task->words)
            task->rows->to_words(task->h + i, task->inverse, n, (int16_t *)task->out + i);
        else
            task->rows->to_bytes(task->h + i, task->inverse, n, (uint8_t *)task->out + i);
    }
}

int vq_quantise(int threads, const float *h, size_t pixels, size_t channels, const float *inverse, int words,
                void *out)
{
    /* Few channels are repeated, so that loops are long. */
    const size_t repeats = (LEAST_PERIOD + channels - 1) / channels, period = channels * repeats;
    float *repeated = malloc(period * sizeof *repeated);
    if (!repeated)
        return -1;
    for (size_t i = 0; i < repeats; i++)
        memcpy(repeated + i * channels, inverse, channels * sizeof *repeated);
    const size_t share = (SHARE / period + 1) * period;
    vq_quantising task = {h, repeated, pixels * channels, period, share, words, out, vq_rows_now()};
    vq_pool_run(threads, (int)((task.count + share - 1) / share), quantise_part, &task);
    free(repeated);
    return 0;
}
