/* Synthesis for JavaScript: as vqcodec.native._kernels for Python, by the same C. */
#include <stdlib.h>

#include "binding.h"
#include "convolve.h"
#include "picture.h"
#include "quantise.h"
#include "restore.h"

static int done(int status)
{
    return status == 0 ? VQ_DONE : VQ_SHORT;
}

void *VQ_EXPORT(allocate)(size_t bytes)
{
    return malloc(bytes + 16); /* vectors may read a little beyond */
}

void VQ_EXPORT(release)(void *memory)
{
    free(memory);
}

/* A layer at *made, of weights of 8 or 16 bits. */
int VQ_EXPORT(make_layer)(int words, const void *weights, int outputs, int kernel, int inputs, int zero,
                          vq_conv_layer **made)
{
    int status;
    *made = vq_conv_layer_make(words ? VQ_DOT16 : VQ_DOT8, weights, outputs, kernel, inputs, zero, &status);
    return status == -2 ? VQ_BOUNDS : done(status);
}

void VQ_EXPORT(free_layer)(vq_conv_layer *layer)
{
    vq_conv_layer_free(layer);
}

int VQ_EXPORT(quantise)(const float *h, size_t pixels, size_t channels, const float *inverse, int words, void *out)
{
    return done(vq_quantise(1, h, pixels, channels, inverse, words, out));
}

/* x (height, width, inputs) by a layer whose outputs are those of n x n pixels, as `result` says. */
static int run(const vq_conv_layer *layer, char *x, int height, int width, const float *scale, const float *bias,
               vq_result result, const char *add, int n, char *out)
{
    const size_t each = layer->dot == VQ_DOT8 ? 1 : 2, made = result == VQ_BYTES ? 1 : sizeof(float);
    const vq_convolution task = {
        .layer = layer,
        .height = height,
        .width = width,
        .in = vq_dense(x, layer->inputs * each, width),
        .scale = scale,
        .bias = bias,
        .result = result,
        .shuffle = n,
        .add = add,
        .out = vq_dense(out, layer->outputs / (n * n) * made, n * width),
    };
    return done(vq_convolve(1, &task));
}

/* To float32, or to u8 with `add` (height, width, outputs), which may be null. */
int VQ_EXPORT(convolve)(const vq_conv_layer *layer, char *x, int height, int width, const float *scale,
                        const float *bias, const char *add, int bytes, char *out)
{
    return run(layer, x, height, width, scale, bias, bytes ? VQ_BYTES : VQ_FLOATS, add, 1, out);
}

/* To float32 `out` (n * height, n * width, outputs / n / n), or added to it. */
int VQ_EXPORT(convolve_shuffled)(const vq_conv_layer *layer, char *x, int height, int width, const float *scale,
                                 const float *bias, int n, int added, char *out)
{
    return run(layer, x, height, width, scale, bias, added ? VQ_ADDED : VQ_FLOATS, NULL, n, out);
}

int VQ_EXPORT(block)(float *h, int height, int width, const float *inverse, const vq_conv_layer *layer1,
                     const float *scale1, const float *bias1, const vq_conv_layer *layer2, const float *scale2,
                     const float *bias2)
{
    return done(vq_block(1, h, height, width, inverse, layer1, scale1, bias1, layer2, scale2, bias2));
}

void VQ_EXPORT(shuffle)(const char *x, int height, int width, int n, size_t bytes, char *out)
{
    vq_shuffle(1, x, height, width, n, bytes, 0, out);
}

void VQ_EXPORT(lap)(float *x, int height, int width, const float *matrix)
{
    vq_lap(1, x, height, width, 3, matrix);
}

int VQ_EXPORT(cells)(const float *u, int height, int width, int16_t *out)
{
    return done(vq_cells(1, u, height, width, out));
}

int VQ_EXPORT(mend)(const float *u, const int16_t *cells, const float *f, int height, int width,
                    const int16_t *kernels, int count, const float *colour, uint8_t *out)
{
    return done(vq_mend(1, u, cells, f, height, width, kernels, count, colour, out));
}

/* `layers`: layer, scale and bias of lead, sense, mix and filter. */
int VQ_EXPORT(restore)(const float *u, const uint8_t *guide, int height, int width, const vq_scaled *layers,
                       const int16_t *kernels, int count, const float *colour, uint8_t *out)
{
    const vq_restoration task = {
        .u = u,
        .guide = guide,
        .height = height,
        .width = width,
        .lead = layers[0],
        .sense = layers[1],
        .mix = layers[2],
        .filter = layers[3],
        .kernels = kernels,
        .count = count,
        .colour = colour,
        .out = out,
    };
    return done(vq_restore(1, &task));
}
