/* The loops around the products, for vectors of any width. A variant defines, before including this file:

     VQ_TARGET                  attribute that compiles a function for the instruction set
     VQ_VECTOR, VQ_PER_BLOCK    the vector type, and how many make 16 int32
     VQ_ZERO(), VQ_LOAD(p), VQ_STORE(p, v), VQ_REPEAT(p)    the last repeats the 4 bytes at p
     VQ_DOT(sum, input, weight)
     VQ_FUNCTION                name of the function to make; VQ_LOCAL, static where it is not for others
     VQ_BLOCKS, VQ_PIXELS       the largest tile that fits the registers: 1 or 2, and 3, 6 or 12

   A tile, some blocks of 16 outputs times some pixels, stays in registers for the whole sum. */

#define VQ_PASTE_(a, b) a##b
#define VQ_PASTE(a, b) VQ_PASTE_(a, b)
#define VQ_TILE VQ_PASTE(VQ_FUNCTION, _tile)
#define VQ_ROW VQ_PASTE(VQ_FUNCTION, _row)

/* pixels is 1 or a multiple of 3: addresses are made of one pointer for each three, and a common distance. */
VQ_TARGET VQ_INLINE void VQ_TILE(const vq_conv_call *call, int x, int block, const int blocks,
                                 const int pixels)
{
    const int vectors = blocks * VQ_PER_BLOCK, triples = (pixels + 2) / 3;
    const size_t pixel = call->pixel;
    VQ_VECTOR sum[VQ_BLOCKS * VQ_PER_BLOCK][VQ_PIXELS];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++)
#pragma GCC unroll 12
        for (int p = 0; p < pixels; p++)
            sum[v][p] = VQ_ZERO();

    const char *weights = call->packed + block * call->block;
    for (int r = 0; r < call->kernel; r++) {
        const char *in[VQ_PIXELS / 3];
#pragma GCC unroll 4
        for (int t = 0; t < triples; t++)
            in[t] = (const char *)call->rows[r] + (x + 3 * t) * pixel;
        for (int i = 0; i < call->run; i++) {
            VQ_VECTOR weight[VQ_BLOCKS * VQ_PER_BLOCK];
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++)
                weight[v] =
                    VQ_LOAD(weights + v / VQ_PER_BLOCK * call->block + v % VQ_PER_BLOCK * sizeof(VQ_VECTOR));
            weights += 4 * VQ_OUTPUTS;
#pragma GCC unroll 12
            for (int p = 0; p < pixels; p++) {
                const VQ_VECTOR value = VQ_REPEAT(in[p / 3] + p % 3 * pixel);
#pragma GCC unroll 8
                for (int v = 0; v < vectors; v++)
                    sum[v][p] = VQ_DOT(sum[v][p], value, weight[v]);
            }
#pragma GCC unroll 4
            for (int t = 0; t < triples; t++)
                in[t] += 4;
        }
    }
#pragma GCC unroll 12
    for (int p = 0; p < pixels; p++) {
        int32_t *acc = call->acc + (size_t)(x + p) * call->outputs + block * VQ_OUTPUTS;
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            VQ_STORE(acc + v * (VQ_OUTPUTS / VQ_PER_BLOCK), sum[v][p]);
    }
}

/* A row of tiles. The last one is moved left to end with the row, where it makes some sums again. */
VQ_TARGET VQ_INLINE void VQ_ROW(const vq_conv_call *call, int block, const int blocks)
{
    const int width = call->width;
    for (int x = 0, size; x < width; x += size) {
        size = width - x < VQ_PIXELS ? (width - x + 2) / 3 * 3 : VQ_PIXELS;
        if (size > width)
            size = width < 3 ? 1 : width / 3 * 3;
        x = x + size > width ? width - size : x;
        switch (size) {
#if VQ_PIXELS == 12
        case 12:
            VQ_TILE(call, x, block, blocks, 12);
            break;
        case 9:
            VQ_TILE(call, x, block, blocks, 9);
            break;
#endif
#if VQ_PIXELS >= 6
        case 6:
            VQ_TILE(call, x, block, blocks, 6);
            break;
#endif
        case 3:
            VQ_TILE(call, x, block, blocks, 3);
            break;
        default:
            VQ_TILE(call, x, block, blocks, 1);
        }
    }
}

#ifndef VQ_LOCAL
#define VQ_LOCAL
#endif
VQ_TARGET VQ_LOCAL void VQ_FUNCTION(const vq_conv_call *call)
{
    const int count = call->outputs / VQ_OUTPUTS;
    int block = 0;
    if (VQ_BLOCKS == 2)
        for (; block + 2 <= count; block += 2)
            VQ_ROW(call, block, 2);
    for (; block < count; block++)
        VQ_ROW(call, block, 1);
}

#undef VQ_TILE
#undef VQ_ROW
