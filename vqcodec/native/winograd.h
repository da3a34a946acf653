/* 3x3 convolutions of bytes by fewer products: F(2x2, 3x3) of Lavin and Gray (2016), "Fast Algorithms for Convolutional
   Neural Networks", scaled by 4 so that all of it is integers, and exact.

   A tile is 2x2 outputs, from 4x4 inputs. 16 products a channel take the place of 36, in 16 bits instead of 8: worth it
   where products of bytes are no faster. */
#ifndef VQ_WINOGRAD_H
#define VQ_WINOGRAD_H

#include "conv_layer.h"

#if defined(__wasm_simd128__) && !defined(VQ_DOT7)
#define VQ_WINOGRAD 1
#endif

enum { VQ_TILE_PRODUCTS = 16, VQ_TILE_OUTPUTS = 32 /* at once, at most */ };

/* Bytes of the transformed weights of a layer, 0 if it is none of these. */
size_t vq_winograd_size(const vq_conv_layer *layer);
/* Transform weights (outputs, 3, 3, inputs); 0, or -1 where memory is short. */
int vq_winograd_pack(const vq_conv_layer *layer, const int8_t *weights, void *packed);

/* Bytes that the inputs of so many tiles need. */
size_t vq_winograd_room(const vq_conv_layer *layer, int tiles);
/* Transform the inputs of a row of tiles: `in` has `rows` rows, `row` bytes from each other, and `columns` pixels, of
   which tiles at the edge may lack the last. */
void vq_winograd_enter(const vq_conv_layer *layer, const char *in, size_t row, int rows, int columns, int tiles,
                       int16_t *entered);
/* sums (2, 2 * tiles, outputs) of `outputs` outputs from `first` on, multiples of 16; `products` has room for
   VQ_TILE_PRODUCTS * tiles * outputs. */
void vq_winograd_sums(const vq_conv_layer *layer, const int16_t *entered, int tiles, int first, int outputs,
                      int32_t *products, int32_t *sums);

#endif
