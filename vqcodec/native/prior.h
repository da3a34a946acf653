/* The integer prior of FORMAT.md: features from z, and a pass's hidden units, means and classes. */
#ifndef VQ_PRIOR_H
#define VQ_PRIOR_H

#include "layer.h"
#include "settle.h"

enum { VQ_MAPS = 3 }; /* most phases that a pass looks at */

/* z (height, width, inputs of the first layer) -> features (2 height, 2 width, outputs of the third). */
int vq_prior_hyper(vq_layer *const layers[3], const int8_t *z, int height, int width, int level, int threads,
                   uint8_t *features);

/* A phase of a latent: rows and columns are some bytes apart. */
typedef struct {
    const char *data;
    ptrdiff_t row, column;
} vq_phase;

typedef struct {
    vq_layer *enter, *middle;
    const vq_phase *phases;
    int maps, seen; /* seen: channels of each that `enter` looks at */
    const uint8_t *features;
    int height, width, feature_channels;
    const int16_t *linear; /* (local_channels, maps, 3, 3), or null */
    int local_channels;
    vq_compand compand;
} vq_opening;

/* Hidden units (rows, columns, outputs of middle) and linear mean (rows, columns, local_channels) of a pass. */
int vq_prior_open(const vq_opening *opening, vq_grid grid, int level, int threads, uint8_t *hidden, int32_t *local);

/* A slice: what it looks at, and where its outputs go. */
typedef struct {
    vq_layer *look, *tell, *leave; /* the first two null in the first slice */
    const int8_t *const *seen;     /* companded codewords of the slices before, `seen_channels` each */
    const int *seen_channels;
    int seen_count, height, width;
    int channels, groups, numbers;
    const int *bins;
    const int32_t *local; /* (height, width, local_width), or null; channels from local_first on are the slice's */
    int local_width, local_first;
    const vq_settling *settling; /* of the slice before, whose codewords are the last that are seen; or null */
} vq_prediction;

/* Settles the slice before, updates the hidden units, and predicts; 0, -1 where memory is short, -2 if an index of the
   slice before has no codeword. */
int vq_prior_predict(const vq_prediction *prediction, int level, int threads, uint8_t *hidden, int32_t *mean,
                     int32_t *classes);

#endif
