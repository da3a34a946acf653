#include "prior.h"

#include <stdlib.h>
#include <string.h>

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

/* Linear mean from 3x3 neighbourhoods, in steps of 1/128. */
static void interpolate(const vq_opening *opening, vq_grid grid, int32_t *local)
{
    int channels = opening->local_channels;
    for (int y = grid.top; y < opening->height; y += grid.step)
        for (int x = grid.left; x < opening->width; x += grid.step, local += channels)
            for (int c = 0; c < channels; c++) {
                const int16_t *weight = opening->linear + c * opening->maps * 9;
                int64_t sum = 64 + ((int64_t)1 << 40);
                for (int map = 0; map < opening->maps; map++)
                    for (int i = 0; i < 3; i++)
                        for (int j = 0; j < 3; j++, weight++) {
                            int u = y + i - 1, v = x + j - 1;
                            if (u >= 0 && u < opening->height && v >= 0 && v < opening->width)
                                sum += (int64_t)*weight * at(&opening->phases[map], u, v)[c];
                        }
                local[c] = (int32_t)((sum >> 7) - ((int64_t)1 << 33));
            }
}

int vq_prior_open(const vq_opening *opening, vq_grid grid, int level, int threads, uint8_t *hidden, int32_t *local)
{
    int height = opening->height, width = opening->width, seen = opening->seen;
    int rows = (height - grid.top + grid.step - 1) / grid.step;
    int columns = (width - grid.left + grid.step - 1) / grid.step;
    size_t pixels = (size_t)rows * (size_t)columns;
    uint8_t *entered = malloc(pixels * (size_t)opening->enter->outputs + 1);
    int8_t *companded = malloc((size_t)width * (size_t)seen + 1);
    vq_map map = {.data = NULL};
    int failed = entered == NULL || companded == NULL || vq_map_start(&map, opening->enter, height, width) < 0;
    if (!failed) {
        for (int m = 0; m < opening->maps; m++)
            for (int y = 0; y < height; y++) {
                int8_t *to = companded;
                for (int x = 0; x < width; x++) {
                    const int32_t *from = at(&opening->phases[m], y, x);
                    for (int c = 0; c < seen; c++)
                        *to++ = vq_companded(&opening->compand, from[c]);
                }
                vq_map_row(&map, y, m * seen, seen, 1, companded);
            }
        vq_map_all(&map, opening->maps * seen, opening->feature_channels, 0, opening->features);
        failed = vq_layer_run(opening->enter, &map, grid, level, VQ_BYTES, entered, threads) < 0 ||
                 run_on_bytes(opening->middle, entered, rows, columns, level, VQ_BYTES, hidden, threads) < 0;
        if (opening->linear != NULL)
            interpolate(opening, grid, local);
    }
    vq_map_free(&map);
    free(companded);
    free(entered);
    return failed ? -1 : 0;
}

/* Let the hidden units know what the slices before gave. */
static int update(const vq_prediction *p, int level, int threads, uint8_t *hidden)
{
    vq_map map;
    uint8_t *looked = malloc((size_t)p->height * (size_t)p->width * (size_t)p->look->outputs + 1);
    if (looked == NULL || vq_map_start(&map, p->look, p->height, p->width) < 0) {
        free(looked);
        return -1;
    }
    int channel = 0;
    for (int i = 0; i < p->seen_count; channel += p->seen_channels[i++])
        vq_map_all(&map, channel, p->seen_channels[i], 1, p->seen[i]);
    vq_map_all(&map, channel, p->tell->outputs, 0, hidden);
    int failed = vq_layer_run(p->look, &map, EVERYWHERE, level, VQ_BYTES, looked, threads) < 0 ||
                 run_on_bytes(p->tell, looked, p->height, p->width, level, VQ_ADD_BYTES, hidden, threads) < 0;
    vq_map_free(&map);
    free(looked);
    return failed ? -1 : 0;
}

int vq_prior_predict(const vq_prediction *p, int level, int threads, uint8_t *hidden, int32_t *mean,
                     int32_t *classes)
{
    size_t pixels = (size_t)p->height * (size_t)p->width, channels = (size_t)p->channels;
    int32_t *left = malloc(pixels * (size_t)p->leave->outputs * sizeof *left + 1);
    int failed = left == NULL || (p->look != NULL && update(p, level, threads, hidden) < 0) ||
                 run_on_bytes(p->leave, hidden, p->height, p->width, level, VQ_INTEGERS, left, threads) < 0;
    const int32_t *out = left;
    int near = p->local == NULL ? 0 : p->local_width - p->local_first;
    near = near < 0 ? 0 : near < p->channels ? near : p->channels;
    for (size_t i = 0; !failed && i < pixels; i++, mean += channels, classes += p->groups) {
        memcpy(mean, out, channels * sizeof *mean);
        for (int c = 0; c < near; c++)
            mean[c] += p->local[i * (size_t)p->local_width + (size_t)(p->local_first + c)];
        out += channels;
        memset(classes, 0, (size_t)p->groups * sizeof *classes);
        for (int n = 0; n < p->numbers; n++)
            for (int g = 0; g < p->groups; g++, out++) {
                int32_t number = *out < 0 ? 0 : *out < p->bins[n] ? *out : p->bins[n] - 1;
                classes[g] = classes[g] * p->bins[n] + number;
            }
    }
    free(left);
    return failed ? -1 : 0;
}
