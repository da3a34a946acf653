#include "prior.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "isa.h"
#include "pool.h"

static const vq_grid EVERYWHERE = {0, 0, 1};

static int run_on_bytes(vq_layer *layer, const void *input, int height, int width, int level, vq_finish finish,
                        void *out, int threads)
{
    vq_map map;
    if (vq_map_start(&map, layer, height, width) < 0)
        return -1;
    int first = layer->signed_inputs > 0;
    vq_map_all(&map, 0, layer->inputs, first, input);
    int failed = vq_layer_run(layer, &map, EVERYWHERE, level, finish, out, threads);
    vq_map_free(&map);
    return failed;
}

/* Channel 4 c + 2 i + j at (y, x) -> channel c at (2 y + i, 2 x + j). */
static void shuffle(const uint8_t *in, int height, int width, int channels, uint8_t *out)
{
    for (int y = 0; y < 2 * height; y++)
        for (int x = 0; x < 2 * width; x++) {
            const uint8_t *from = in + ((size_t)(y / 2) * (size_t)width + (size_t)(x / 2)) * 4 * (size_t)channels;
            from += 2 * (y % 2) + x % 2;
            for (int c = 0; c < channels; c++)
                *out++ = from[4 * c];
        }
}

int vq_prior_hyper(vq_layer *const layers[3], const int8_t *z, int height, int width, int level, int threads,
                   uint8_t *features)
{
    size_t pixels = (size_t)height * (size_t)width;
    uint8_t *first = malloc(pixels * (size_t)layers[0]->outputs + 1);
    uint8_t *second = malloc(2 * pixels * (size_t)layers[1]->outputs + 1);
    int failed = first == NULL || second == NULL;
    if (!failed) {
        uint8_t *shuffled = second + pixels * (size_t)layers[1]->outputs;
        failed = run_on_bytes(layers[0], z, height, width, level, VQ_BYTES, first, threads) < 0 ||
                 run_on_bytes(layers[1], first, height, width, level, VQ_BYTES, second, threads) < 0;
        if (!failed) {
            shuffle(second, height, width, layers[1]->outputs / 4, shuffled);
            failed = run_on_bytes(layers[2], shuffled, 2 * height, 2 * width, level, VQ_BYTES, features,
                                  threads) < 0;
        }
    }
    free(first);
    free(second);
    return failed ? -1 : 0;
}

static const int32_t *at(const vq_phase *phase, int y, int x)
{
    return (const int32_t *)(phase->data + y * phase->row + x * phase->column);
}

typedef struct {
    const vq_opening *opening;
    vq_grid grid;
    vq_map *map;
    int32_t *local;        /* null where there is none */
    const int32_t *linear; /* (maps, 3, 3, local_channels) */
    atomic_int failed;
} opening_run;

static const int64_t POSITIVE = (int64_t)1 << 40;

VQ_INLINE void add_products(int64_t *restrict sum, const int32_t *restrict weight, const int32_t *restrict value,
                            int channels)
{
    for (int c = 0; c < channels; c++)
        sum[c] += (int64_t)weight[c] * value[c];
}

/* Linear mean of a row from 3x3 neighbourhoods, in steps of 1/128. */
VQ_INLINE void interpolate(const opening_run *run, int y, int64_t *restrict sum)
{
    const vq_opening *opening = run->opening;
    const int channels = opening->local_channels, step = run->grid.step;
    int columns = (opening->width - run->grid.left + step - 1) / step;
    int32_t *restrict local = run->local + (size_t)((y - run->grid.top) / step) * (size_t)columns * (size_t)channels;
    for (int x = run->grid.left; x < opening->width; x += step, local += channels) {
        const int32_t *weight = run->linear;
        for (int c = 0; c < channels; c++)
            sum[c] = POSITIVE + 64;
        for (int map = 0; map < opening->maps; map++)
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++, weight += channels) {
                    int u = y + i - 1, v = x + j - 1;
                    if (u >= 0 && u < opening->height && v >= 0 && v < opening->width)
                        add_products(sum, weight, at(&opening->phases[map], u, v), channels);
                }
        for (int c = 0; c < channels; c++)
            local[c] = (int32_t)((int64_t)((uint64_t)sum[c] >> 7) - (POSITIVE >> 7));
    }
}

static void interpolate_portable(const opening_run *run, int y, int64_t *sum)
{
    interpolate(run, y, sum);
}

#ifdef VQ_X86
VQ_TARGET_AVX2 static void interpolate_avx2(const opening_run *run, int y, int64_t *sum)
{
    interpolate(run, y, sum);
}
#endif

/* What a row of the inputs is, and the linear mean of it. */
static void open_row(void *context, int y)
{
    opening_run *run = context;
    const vq_opening *opening = run->opening;
    size_t width = (size_t)opening->width, seen = (size_t)opening->seen;
    int64_t *sum = malloc((size_t)opening->local_channels * sizeof *sum + width * seen + 1);
    if (sum == NULL) {
        run->failed = 1;
        return;
    }
    int8_t *companded = (int8_t *)(sum + opening->local_channels);
    for (int m = 0; m < opening->maps; m++) {
        int8_t *to = companded;
        for (int x = 0; x < opening->width; x++) {
            const int32_t *from = at(&opening->phases[m], y, x);
            for (size_t c = 0; c < seen; c++)
                *to++ = vq_companded(&opening->compand, from[c]);
        }
        vq_map_row(run->map, y, m * opening->seen, opening->seen, 1, companded);
    }
    vq_map_row(run->map, y, opening->maps * opening->seen, opening->feature_channels, 0,
               opening->features + (size_t)y * width * (size_t)opening->feature_channels);
    if (run->local != NULL && y >= run->grid.top && (y - run->grid.top) % run->grid.step == 0) {
#ifdef VQ_X86
        if (vq_isa_now() != VQ_PORTABLE)
            interpolate_avx2(run, y, sum);
        else
#endif
            interpolate_portable(run, y, sum);
    }
    free(sum);
}

/* (local_channels, maps, 3, 3) -> (maps, 3, 3, local_channels), wider; null where memory is short. */
static int32_t *channels_last(const vq_opening *opening)
{
    size_t channels = (size_t)opening->local_channels, taps = (size_t)opening->maps * 9;
    int32_t *linear = malloc(channels * taps * sizeof *linear + 1);
    for (size_t c = 0; linear != NULL && c < channels; c++)
        for (size_t tap = 0; tap < taps; tap++)
            linear[tap * channels + c] = opening->linear[c * taps + tap];
    return linear;
}

int vq_prior_open(const vq_opening *opening, vq_grid grid, int level, int threads, uint8_t *hidden, int32_t *local)
{
    int height = opening->height, width = opening->width;
    int rows = (height - grid.top + grid.step - 1) / grid.step;
    int columns = (width - grid.left + grid.step - 1) / grid.step;
    uint8_t *entered = malloc((size_t)rows * (size_t)columns * (size_t)opening->enter->outputs + 1);
    int32_t *linear = channels_last(opening);
    vq_map map = {.data = NULL};
    opening_run run = {.opening = opening, .grid = grid, .map = &map, .linear = linear};
    run.local = opening->local_channels > 0 ? local : NULL;
    int failed = entered == NULL || linear == NULL || vq_map_start(&map, opening->enter, height, width) < 0;
    if (!failed) {
        vq_pool_run(threads, height, open_row, &run);
        failed = run.failed || vq_layer_run(opening->enter, &map, grid, level, VQ_BYTES, entered, threads) < 0 ||
                 run_on_bytes(opening->middle, entered, rows, columns, level, VQ_BYTES, hidden, threads) < 0;
    }
    vq_map_free(&map);
    free(linear);
    free(entered);
    return failed ? -1 : 0;
}
