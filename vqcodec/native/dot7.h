/* Convolutions of bytes by WebAssembly's relaxed dot products. They multiply signed bytes by bytes that must lie
   in 0 to 127: only then do all processors give the same. So inputs are lowered by 128 and weights are raised by
   64, which sums of inputs and of weights make up for. Compiled with VQ_DOT7 defined. */
#ifndef VQ_DOT7_H
#define VQ_DOT7_H

#include "conv_layer.h"

/* Inputs of some rows of outputs, lowered. */
typedef struct {
    int width;
    char *inputs; /* rows + kernel - 1 rows, `row` bytes from each other */
    size_t row;
    int32_t *windows; /* (rows, width): the sum of all inputs of an output */
    int32_t *pixels;  /* the sum of each pixel */
} vq_lowered;

/* Bytes of the weights of 16 outputs. */
size_t vq_dot7_block(const vq_conv_layer *layer);
/* How many weights cannot be raised into 0 to 127. */
size_t vq_dot7_excess(const vq_conv_layer *layer, const int8_t *weights);
/* Fills layer->packed and layer->excess. */
void vq_dot7_pack(const vq_conv_layer *layer, const int8_t *weights);

/* Bytes that rows of outputs need. */
size_t vq_dot7_room(const vq_conv_layer *layer, int rows, int width);
/* Lower the inputs of rows of outputs: `in` has rows + kernel - 1 rows of width + kernel - 1 pixels. */
vq_lowered vq_dot7_enter(const vq_conv_layer *layer, const char *in, size_t row, int rows, int width, char *room);
/* sums (width, outputs) of row y, of `outputs` outputs from `first` on, multiples of 16. */
void vq_dot7_row(const vq_conv_layer *layer, const vq_lowered *lowered, int y, int first, int outputs, int32_t *sums);

#endif
