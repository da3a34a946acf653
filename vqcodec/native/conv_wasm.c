/* WebAssembly's vectors of 128 bits: products of 16 bits in pairs, and bytes are widened to these first. Products of
   bytes, of relaxed vectors, are faster on few machines and inexact on others. */
#include "conv_isa.h"

#ifdef __wasm_simd128__
#include <stdlib.h>
#include <string.h>
#include <wasm_simd128.h>

#define VQ_TARGET
#define VQ_VECTOR v128_t
#define VQ_PER_BLOCK 4
#define VQ_BLOCKS 1
#define VQ_PIXELS 3
#define VQ_ZERO() wasm_i32x4_const_splat(0)
#define VQ_LOAD(p) wasm_v128_load(p)
#define VQ_STORE(p, v) wasm_v128_store(p, v)
#define VQ_REPEAT(p) wasm_v128_load32_splat(p)

#define VQ_FUNCTION vq_conv16_wasm
#define VQ_DOT(sum, input, weight) wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(input, weight))
#include "conv_tiles.h"
#undef VQ_FUNCTION
#undef VQ_DOT

enum { MOST_KERNEL = 3 };

/* Bytes to words of 16 bits, `count` a multiple of 4. */
static void widen_inputs(const uint8_t *from, size_t count, int16_t *to)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        wasm_v128_store(to + i, wasm_u16x8_load8x8(from + i));
    for (; i < count; i++)
        to[i] = from[i];
}

/* The weights of 16 outputs: from words of 4 channels to twice as many of 2. */
static void widen_weights(const char *from, size_t words, int16_t *to)
{
    for (size_t word = 0; word < words; word++, from += 4 * VQ_OUTPUTS, to += 4 * VQ_OUTPUTS)
        for (int o = 0; o < VQ_OUTPUTS; o += 4) {
            const v128_t low = wasm_i16x8_load8x8(from + 4 * o), high = wasm_i16x8_load8x8(from + 4 * o + 8);
            wasm_v128_store(to + 2 * o, wasm_i32x4_shuffle(low, high, 0, 2, 4, 6));
            wasm_v128_store(to + 2 * (VQ_OUTPUTS + o), wasm_i32x4_shuffle(low, high, 1, 3, 5, 7));
        }
}

void vq_conv8_wasm(const vq_conv_call *call)
{
    const size_t row = (call->width - 1) * call->pixel + 4 * (size_t)call->run;
    const size_t words = (size_t)call->kernel * call->run;
    int16_t *inputs = malloc(2 * (call->kernel * row + 4 * VQ_OUTPUTS * words));
    if (!inputs)
        abort(); /* the instance is lost, and its user is told */
    int16_t *weights = inputs + call->kernel * row;
    const void *rows[MOST_KERNEL];
    for (int r = 0; r < call->kernel; r++) {
        widen_inputs(call->rows[r], row, inputs + r * row);
        rows[r] = inputs + r * row;
    }
    vq_conv_call wide = *call;
    wide.rows = rows;
    wide.run = 2 * call->run;
    wide.pixel = 2 * call->pixel;
    wide.packed = (const char *)weights;
    wide.block = 0; /* only those of one block are there at a time */
    for (int block = 0; block < call->outputs / VQ_OUTPUTS; block++) {
        widen_weights(call->packed + block * call->block, words, weights);
        vq_conv16_wasm_row(&wide, block, 1);
    }
    free(inputs);
}
#endif
