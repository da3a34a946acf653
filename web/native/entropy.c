/* Range decoder and integer prior for JavaScript: as vqcodec.native._entropy for Python, by the same C. */
#include <stdlib.h>
#include <string.h>

#include "binding.h"
#include "prior.h"
#include "segments.h"

static int done(int status)
{
    return status == 0 ? VQ_DONE : status == -2 ? VQ_DAMAGED : VQ_SHORT;
}

static int answer(vq_result result)
{
    return result == VQ_OK ? VQ_DONE : result == VQ_NO_MEMORY ? VQ_SHORT : VQ_DAMAGED;
}

/* Tables at *made of rows (groups, sum of bins, words), which must stay, and powers (256,). */
int VQ_EXPORT(make_tables)(const uint8_t *rows, int groups, int words, const int *bins, int numbers,
                           const uint32_t *powers, vq_tables **made)
{
    vq_tables *tables = *made = calloc(1, sizeof *tables);
    if (tables == NULL)
        return VQ_SHORT;
    tables->rows = rows;
    tables->groups = groups;
    tables->words = words;
    tables->numbers = numbers;
    tables->classes = 1;
    for (int n = 0; n < numbers; n++) {
        tables->bins[n] = bins[n];
        tables->sum += bins[n];
        tables->classes *= bins[n];
    }
    memcpy(tables->powers, powers, sizeof tables->powers);
    return done(vq_tables_start(tables));
}

/* One table at *made, of counts (words,). */
int VQ_EXPORT(make_table)(const int32_t *counts, int words, vq_tables **made)
{
    vq_tables *tables = *made = calloc(1, sizeof *tables);
    if (tables == NULL)
        return VQ_SHORT;
    tables->groups = tables->classes = 1;
    tables->words = words;
    if (vq_tables_start(tables) < 0)
        return VQ_SHORT;
    int status = vq_tables_set(tables, 0, counts);
    return status == -2 ? VQ_BOUNDS : done(status);
}

void VQ_EXPORT(free_tables)(vq_tables *tables)
{
    vq_tables_free(tables);
    free(tables);
}

/* A reader of words (count,), which it takes over; null where memory is short. */
vq_coder *VQ_EXPORT(make_reader)(uint32_t *words, size_t count)
{
    vq_coder *coder = malloc(sizeof *coder);
    if (coder != NULL)
        vq_coder_read(coder, words, count);
    return coder;
}

void VQ_EXPORT(free_reader)(vq_coder *coder)
{
    vq_coder_free(coder);
    free(coder);
}

/* Symbols (count, groups) of classes alike; moves (groups, classes of a group), or null. */
int VQ_EXPORT(read)(vq_coder *coder, vq_tables *tables, const int32_t *classes, const int32_t *moves, int32_t *symbols,
                    int count, int groups)
{
    const vq_symbols work = {
        .tables = tables,
        .classes = classes,
        .moves = moves,
        .symbols = symbols,
        .groups = groups,
        .count = count,
        .table_classes = tables->groups * tables->classes / groups,
        .reading = 1,
    };
    return answer(vq_code_symbols(coder, &work));
}

/* Whether the symbols read encode to just the words. */
int VQ_EXPORT(finish_reader)(vq_coder *coder)
{
    return answer(vq_coder_end(coder));
}

/* A layer of the prior at *made, of weights (outputs, inputs, kernel, kernel). */
int VQ_EXPORT(make_prior_layer)(const int8_t *weights, int outputs, int inputs, int kernel, const int32_t *bias,
                                int knots, const int32_t *multiplier, const uint8_t *shift, int signed_inputs,
                                vq_layer **made)
{
    vq_layer *layer = *made = calloc(1, sizeof *layer);
    if (layer == NULL)
        return VQ_SHORT;
    layer->outputs = outputs;
    layer->inputs = inputs;
    layer->kernel = kernel;
    layer->knots = knots;
    layer->signed_inputs = signed_inputs;
    int status = vq_layer_start(layer, weights, bias, multiplier, shift);
    if (status == 0 && vq_layer_packed(layer, vq_layer_dot()) == NULL)
        status = -1;
    free(layer->weights); /* packed is enough */
    layer->weights = NULL;
    return status == -2 ? VQ_BOUNDS : done(status);
}

void VQ_EXPORT(free_prior_layer)(vq_layer *layer)
{
    vq_layer_free(layer);
    free(layer);
}

int VQ_EXPORT(hyper)(vq_layer *const *layers, const int8_t *z, int height, int width, int level, uint8_t *features)
{
    return done(vq_prior_hyper(layers, z, height, width, level, 1, features));
}

/* Hidden units and linear mean of a pass on the phase grid (height, width). Phases lie in `latent`, whose positions
   have `channels`: phase m from position starts[m] on, at every second row and column of `columns`. */
int VQ_EXPORT(open_pass)(vq_layer *enter, vq_layer *middle, const int32_t *latent, int channels, int columns,
                         const int *starts, int maps, const uint8_t *features, int feature_channels, int height,
                         int width, const int16_t *linear, int local_channels, const uint8_t *compand, int length,
                         int top, int left, int step, int level, uint8_t *hidden, int32_t *local)
{
    const ptrdiff_t column = (ptrdiff_t)sizeof(int32_t) * channels;
    vq_phase phases[VQ_MAPS];
    for (int m = 0; m < maps; m++)
        phases[m] = (vq_phase){(const char *)latent + starts[m] * column, 2 * columns * column, 2 * column};
    const vq_opening opening = {
        .enter = enter,
        .middle = middle,
        .phases = phases,
        .maps = maps,
        .seen = maps > 0 ? enter->signed_inputs / maps : 0,
        .features = features,
        .height = height,
        .width = width,
        .feature_channels = feature_channels,
        .linear = linear,
        .local_channels = maps > 0 ? local_channels : 0,
        .compand = {compand, (uint32_t)length},
    };
    return done(vq_prior_open(&opening, (vq_grid){top, left, step}, level, 1, hidden, local));
}

/* A slice to settle: `count` bands whose indices were read, or none for codewords of 0. Null where memory is short. */
vq_settling *VQ_EXPORT(make_settling)(const vq_settled_band *bands, int count, int channels, int columns,
                                      const int32_t *mean, char *latent, int row, int column, const uint8_t *compand,
                                      int length, int8_t *seen)
{
    vq_settling *settling = calloc(1, sizeof *settling);
    if (settling == NULL)
        return NULL;
    memcpy(settling->bands, bands, (size_t)count * sizeof *bands);
    settling->count = count;
    settling->channels = channels;
    settling->columns = columns;
    settling->mean = mean;
    settling->latent = latent;
    settling->row = row;
    settling->column = column;
    settling->compand = (vq_compand){compand, (uint32_t)length};
    settling->seen = seen;
    return settling;
}

int VQ_EXPORT(settle)(const vq_settling *settling, int pixels)
{
    return done(vq_settle(settling, 0, pixels));
}

/* Mean and classes of a slice; settles the one before first. `seen` and `seen_channels` are of the slices before. */
int VQ_EXPORT(predict)(vq_layer *look, vq_layer *tell, vq_layer *leave, const int8_t *const *seen,
                       const int *seen_channels, int seen_count, int height, int width, int channels, int groups,
                       const int *bins, int numbers, const int32_t *local, int local_width, int local_first,
                       const vq_settling *settling, int level, uint8_t *hidden, int32_t *mean, int32_t *classes)
{
    const vq_prediction prediction = {
        .look = look,
        .tell = tell,
        .leave = leave,
        .seen = seen,
        .seen_channels = seen_channels,
        .seen_count = seen_count,
        .height = height,
        .width = width,
        .channels = channels,
        .groups = groups,
        .numbers = numbers,
        .bins = bins,
        .local = local,
        .local_width = local_width,
        .local_first = local_first,
        .settling = settling,
    };
    return done(vq_prior_predict(&prediction, level, 1, hidden, mean, classes));
}
