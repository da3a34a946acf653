/* Products of bytes in tiles: 16 pixels by 64 bytes, times 64 bytes by 16 outputs in one instruction. */
#include "conv_isa.h"

#ifdef VQ_X86_AMX
#include <immintrin.h>
#include <string.h>

enum {
    SIDE = 16 /* rows of a tile: pixels, or words of 4 bytes; a row has as many words */,
    LEAST = 8,
    WORD = 4
};

/* Tiles 0 to 3 are sums of two groups of pixels and two blocks of outputs, 4 and 5 inputs, 6 and 7 weights.
 */
typedef struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} vq_tiles;

#define VQ_TARGET_TILES __attribute__((target("avx2,amx-tile,amx-int8")))

/* 16 or 32 pixels from x on, one or two blocks of outputs; tiles have `words` words of a kernel row. */
VQ_TARGET_TILES VQ_INLINE void tile(const vq_conv_call *call, int words, int x, int block, const int pixels,
                                    const int blocks)
{
    const size_t pixel = call->pixel, row = VQ_OUTPUTS * WORD;
    const char *weights = call->packed + block * call->block;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int r = 0; r < call->kernel; r++) {
        const char *in = (const char *)call->rows[r] + x * pixel;
        for (int i = 0; i < call->run; i += words, in += words * WORD, weights += words * row) {
            _tile_loadd(4, in, pixel);
            _tile_loadd(6, weights, row);
            _tile_dpbusd(0, 4, 6);
            if (blocks > 1) {
                _tile_loadd(7, weights + call->block, row);
                _tile_dpbusd(1, 4, 7);
            }
            if (pixels > SIDE) {
                _tile_loadd(5, in + SIDE * pixel, pixel);
                _tile_dpbusd(2, 5, 6);
                if (blocks > 1)
                    _tile_dpbusd(3, 5, 7);
            }
        }
    }
    const size_t stride = call->outputs * sizeof(int32_t);
    int32_t *acc = call->acc + (size_t)x * call->outputs + block * VQ_OUTPUTS;
    _tile_stored(0, acc, stride);
    if (blocks > 1)
        _tile_stored(1, acc + VQ_OUTPUTS, stride);
    acc += (size_t)SIDE * call->outputs;
    if (pixels > SIDE) {
        _tile_stored(2, acc, stride);
        if (blocks > 1)
            _tile_stored(3, acc + VQ_OUTPUTS, stride);
    }
}

/* All pixels of a row; the last tiles are moved left to end with it. */
VQ_TARGET_TILES VQ_INLINE void row(const vq_conv_call *call, int words, int block, const int blocks)
{
    const int width = call->width;
    int x = 0;
    for (; width - x > SIDE && width >= 2 * SIDE; x += 2 * SIDE)
        tile(call, words, x + 2 * SIDE <= width ? x : width - 2 * SIDE, block, 2 * SIDE, blocks);
    for (; x < width; x += SIDE)
        tile(call, words, x + SIDE <= width ? x : width - SIDE, block, SIDE, blocks);
}

VQ_TARGET_TILES static void all(const vq_conv_call *call, int words)
{
    vq_tiles tiles = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        tiles.bytes[t] = t == 4 || t == 5 ? words * WORD : SIDE * WORD;
        tiles.rows[t] = t == 6 || t == 7 ? words : SIDE;
    }
    _tile_loadconfig(&tiles);
    const int count = call->outputs / VQ_OUTPUTS;
    int block = 0;
    for (; block + 2 <= count; block += 2)
        row(call, words, block, 2);
    if (block < count)
        row(call, words, block, 1);
    _tile_release();
}

void vq_conv8_amx(const vq_conv_call *call)
{
    /* Tiles of one size cover a kernel row without rest, or are not worth it. */
    int words = SIDE;
    while (words >= LEAST && call->run % words)
        words--;
    if (words < LEAST || call->width < SIDE)
        vq_conv8_avx512vnni(call);
    else
        all(call, words);
}
#endif
