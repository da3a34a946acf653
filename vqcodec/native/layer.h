/* A layer of the integer prior: out = ((W x + bias) * multiplier + 2**(shift - 1)) >> shift (FORMAT.md). */
#ifndef VQ_LAYER_H
#define VQ_LAYER_H

#include <stdatomic.h>
#include <stdint.h>

#include "conv.h"

#define VQ_LEVELS_PER_KNOT 8
#define VQ_INTEGER_MAX (1 << 30) /* of outputs that are not clamped to a byte */

typedef struct {
    int inputs, signed_inputs; /* the first channels are s8, the others u8 */
    int outputs, kernel, knots;
    int8_t *weights;             /* (outputs, kernel, kernel, inputs) */
    int32_t *bias, *multiplier;  /* (knots, outputs), (outputs,) */
    uint8_t *shift;              /* (outputs,) */
    int32_t *zero;               /* (outputs,) what 128 in all signed inputs gives */
    _Atomic(void *) packed[2];   /* by vq_dot, made when first used */
} vq_layer;

/* Inputs of a layer in the order of the products, with a border of zeros for 3x3. */
typedef struct {
    vq_dot dot;
    int height, width, border;
    size_t pixel, row; /* bytes */
    uint8_t *data;
} vq_map;

typedef enum {
    VQ_BYTES,     /* clamped to 0..255, u8 */
    VQ_ADD_BYTES, /* added to what is there, then the same */
    VQ_INTEGERS   /* clamped to +-VQ_INTEGER_MAX, s32 */
} vq_finish;

/* Which outputs are wanted: those at rows top, top + step, ... and columns alike. */
typedef struct {
    int top, left, step;
} vq_grid;

/* Sizes are set; copies weights (outputs, inputs, kernel, kernel) and the rest. 0; -1 where memory is short, -2
   where sums could reach 2**24 or a shift is not 1 to 62. */
int vq_layer_start(vq_layer *layer, const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                   const uint8_t *shift);
void vq_layer_free(vq_layer *layer);
/* What products run on here. */
vq_dot vq_layer_dot(void);
/* The weights in the order of the products; null where memory is short. */
const void *vq_layer_packed(vq_layer *layer, vq_dot dot);

/* A layer at a level, ready to compute; threads may share it. */
typedef struct {
    const vq_layer *layer;
    vq_dot dot;
    const char *packed;
    size_t block, pixel;        /* bytes of the weights of VQ_OUTPUTS outputs, and of a pixel of the inputs */
    int32_t *base, *multiplier; /* (outputs,) */
    int64_t *add, *less, *shift;
} vq_plan;

enum { VQ_PLAN_PIXELS = 48, VQ_PLAN_OUTPUTS = 64 }; /* at a time: sums and weights stay in the inner caches */

/* 0, or -1 where memory is short; to be freed in any case. */
int vq_plan_start(vq_plan *plan, vq_layer *layer, int level);
void vq_plan_free(vq_plan *plan);
/* Outputs from `first` on, at most VQ_PLAN_OUTPUTS, of at most VQ_PLAN_PIXELS pixels; rows as of `vq_conv_row`, `out`
   the first of these pixels' outputs. */
void vq_plan_some(const vq_plan *plan, const void *const *rows, int step, int first, int pixels, vq_finish finish,
                  void *out);
/* All outputs of a 1x1 layer. */
void vq_plan_all(const vq_plan *plan, const void *in, int pixels, vq_finish finish, void *out);

/* Inputs of some pixels, plan->pixel bytes each: set `count` channels, from `channel` on, by s8 or u8 (pixels,
   count). */
void vq_fill(vq_dot dot, void *in, size_t pixel, int channel, int count, int is_signed, const void *from, int pixels);

/* An empty map for a layer; 0 or -1. */
int vq_map_start(vq_map *map, const vq_layer *layer, int height, int width);
/* Set `count` channels of row y, from `channel` on, by s8 or u8 (width, count). */
void vq_map_row(vq_map *map, int y, int channel, int count, int is_signed, const void *from);
/* The same for all rows (height, width, count). */
void vq_map_all(vq_map *map, int channel, int count, int is_signed, const void *from);
void vq_map_free(vq_map *map);

/* Compute outputs (rows, columns, layer->outputs) at a level 0..64; 0, or -1 where memory is short. */
int vq_layer_run(vq_layer *layer, const vq_map *map, vq_grid grid, int level, vq_finish finish, void *out,
                 int threads);

#endif
