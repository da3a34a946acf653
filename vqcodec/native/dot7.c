#include "dot7.h"

#ifdef VQ_DOT7
#include <string.h>
#include <wasm_simd128.h>

#include "isa.h"

#pragma clang attribute push(__attribute__((target("relaxed-simd"))), apply_to = function)

/* A tile of 16 outputs by 2 pixels leaves registers for what the product needs of its own. */
enum { RAISE = 64, LOWER = 128, VECTORS = 4, PIXELS = 2, LANES = 4, WORD = 4 };

/* What stands before the weights of 16 outputs. */
typedef struct {
    int32_t base[VQ_OUTPUTS]; /* LOWER times the sum of the weights */
    int32_t less[VQ_OUTPUTS]; /* -1 where weights are raised by one less, as one of them is 64; else 0 */
    int32_t first, count;     /* those of layer->excess */
    int32_t unused[VQ_OUTPUTS - 2];
} vq_head;

/* Weights of an output, all its taps and inputs. */
static size_t each(const vq_conv_layer *layer)
{
    return (size_t)layer->kernel * layer->kernel * layer->inputs;
}

static int raised_by(const int8_t *weights, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (weights[i] == RAISE)
            return RAISE - 1;
    return RAISE;
}

size_t vq_dot7_block(const vq_conv_layer *layer)
{
    return sizeof(vq_head) + vq_packed_size(VQ_DOT8, VQ_OUTPUTS, layer->kernel, layer->inputs);
}

size_t vq_dot7_excess(const vq_conv_layer *layer, const int8_t *weights)
{
    size_t excess = 0;
    for (int o = 0; o < layer->outputs; o++, weights += each(layer)) {
        const int by = raised_by(weights, each(layer));
        for (size_t i = 0; i < each(layer); i++)
            excess += weights[i] + by < 0;
    }
    return excess;
}

void vq_dot7_pack(const vq_conv_layer *layer, const int8_t *weights)
{
    vq_excess *excess = layer->excess;
    for (int o = 0; o < layer->outputs; o += VQ_OUTPUTS) {
        const int count = layer->outputs - o < VQ_OUTPUTS ? layer->outputs - o : VQ_OUTPUTS;
        vq_head *head = (vq_head *)((char *)layer->packed + o / VQ_OUTPUTS * layer->block);
        int8_t *packed = (int8_t *)(head + 1);
        memset(head, 0, sizeof *head);
        head->first = (int32_t)(excess - layer->excess);
        vq_pack(VQ_DOT8, weights, count, layer->kernel, layer->inputs, packed);
        for (int i = 0; i < count; i++, weights += each(layer)) {
            const int by = raised_by(weights, each(layer));
            head->less[i] = by - RAISE;
            for (size_t at = 0; at < each(layer); at++) {
                head->base[i] += LOWER * weights[at];
                if (weights[at] + by < 0)
                    *excess++ = (vq_excess){i, (int)(at / layer->inputs), (int)(at % layer->inputs)};
            }
        }
        head->count = (int32_t)(excess - layer->excess) - head->first;
        for (size_t at = 0; at < layer->block - sizeof *head; at++) {
            const int weight = packed[at] + RAISE + head->less[at / WORD % VQ_OUTPUTS];
            packed[at] = (int8_t)(weight < 0 ? 0 : weight);
        }
    }
}

size_t vq_dot7_room(const vq_conv_layer *layer, int rows, int width)
{
    const size_t around = (size_t)(rows + layer->kernel - 1) * (width + layer->kernel - 1);
    return around * (layer->groups * WORD + sizeof(int32_t)) + (size_t)rows * width * sizeof(int32_t);
}

/* Lower the inputs of a pixel; their sum. */
VQ_INLINE int32_t lower(const char *from, size_t bytes, char *to)
{
    const v128_t flip = wasm_i8x16_const_splat(-LOWER), ones = wasm_i8x16_const_splat(1);
    const v128_t four_ones = wasm_i32x4_const(0x01010101, 0, 0, 0);
    v128_t sum = wasm_i32x4_const_splat(0);
    size_t i = 0;
    for (; i + sizeof flip <= bytes; i += sizeof flip) {
        const v128_t x = wasm_v128_xor(wasm_v128_load(from + i), flip);
        wasm_v128_store(to + i, x);
        sum = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, ones, sum);
    }
    for (; i < bytes; i += WORD) {
        const v128_t x = wasm_v128_xor(wasm_v128_load32_zero(from + i), flip);
        wasm_v128_store32_lane(to + i, x, 0);
        sum = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, four_ones, sum);
    }
    sum = wasm_i32x4_add(sum, wasm_i32x4_shuffle(sum, sum, 2, 3, 0, 1));
    return wasm_i32x4_extract_lane(sum, 0) + wasm_i32x4_extract_lane(sum, 1);
}

vq_lowered vq_dot7_enter(const vq_conv_layer *layer, const char *in, size_t row, int rows, int width, char *room)
{
    const int kernel = layer->kernel, high = rows + kernel - 1, wide = width + kernel - 1;
    const size_t pixel = (size_t)layer->groups * WORD;
    vq_lowered lowered = {.width = width, .inputs = room, .row = wide * pixel};
    lowered.windows = (int32_t *)(room + high * lowered.row);
    lowered.pixels = lowered.windows + (size_t)rows * width;
    for (int y = 0; y < high; y++)
        for (int x = 0; x < wide; x++)
            lowered.pixels[y * wide + x] =
                lower(in + y * row + x * pixel, pixel, lowered.inputs + y * lowered.row + x * pixel);
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < width; x++) {
            int32_t sum = 0;
            for (int r = 0; r < kernel; r++)
                for (int c = 0; c < kernel; c++)
                    sum += lowered.pixels[(y + r) * wide + x + c];
            lowered.windows[y * width + x] = sum;
        }
    return lowered;
}

/* Sums of 16 outputs for some pixels from x on. */
VQ_INLINE void tile(const vq_conv_layer *layer, const vq_lowered *lowered, int y, int x, const vq_head *head,
                    int outputs, int32_t *sums, const int pixels)
{
    const size_t pixel = (size_t)layer->groups * WORD;
    const int run = layer->kernel * layer->groups;
    const char *weights = (const char *)(head + 1);
    v128_t sum[VECTORS][PIXELS];
    for (int p = 0; p < pixels; p++) {
        const v128_t window = wasm_i32x4_splat(lowered->windows[y * lowered->width + x + p]);
        const v128_t raised = wasm_i32x4_mul(window, wasm_i32x4_const_splat(RAISE));
        for (int v = 0; v < VECTORS; v++) {
            const v128_t less = wasm_v128_and(window, wasm_v128_load(head->less + LANES * v));
            const v128_t base = wasm_i32x4_add(wasm_v128_load(head->base + LANES * v), less);
            sum[v][p] = wasm_i32x4_sub(base, raised);
        }
    }
    for (int r = 0; r < layer->kernel; r++) {
        const char *in = lowered->inputs + (y + r) * lowered->row + x * pixel, *next = in + pixel;
        for (int i = 0; i < run; i++, in += WORD, next += WORD, weights += WORD * VQ_OUTPUTS) {
            v128_t value[PIXELS] = {wasm_v128_load32_splat(in)};
            if (pixels > 1)
                value[1] = wasm_v128_load32_splat(next);
            for (int v = 0; v < VECTORS; v++) {
                const v128_t weight = wasm_v128_load(weights + v * sizeof weight);
                for (int p = 0; p < pixels; p++)
                    sum[v][p] = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(value[p], weight, sum[v][p]);
            }
        }
    }
    for (int p = 0; p < pixels; p++)
        for (int v = 0; v < VECTORS; v++)
            wasm_v128_store(sums + (size_t)(x + p) * outputs + LANES * v, sum[v][p]);
}

/* Take off what weights lack that are -1 when raised, and were packed as 0. */
static void take_off(const vq_conv_layer *layer, const vq_lowered *lowered, int y, const vq_head *head, int outputs,
                     int32_t *sums)
{
    const size_t pixel = (size_t)layer->groups * WORD;
    for (const vq_excess *e = layer->excess + head->first, *end = e + head->count; e < end; e++) {
        const char *in = lowered->inputs + (y + e->tap / layer->kernel) * lowered->row;
        const int8_t *from = (const int8_t *)in + e->tap % layer->kernel * pixel + e->input;
        for (int x = 0; x < lowered->width; x++)
            sums[(size_t)x * outputs + e->output] -= from[x * pixel];
    }
}

void vq_dot7_row(const vq_conv_layer *layer, const vq_lowered *lowered, int y, int first, int outputs, int32_t *sums)
{
    for (int o = 0; o < outputs; o += VQ_OUTPUTS, sums += VQ_OUTPUTS) {
        const vq_head *head =
            (const vq_head *)((const char *)layer->packed + (first + o) / VQ_OUTPUTS * layer->block);
        int x = 0;
        for (; x + PIXELS <= lowered->width; x += PIXELS)
            tile(layer, lowered, y, x, head, outputs, sums, PIXELS);
        if (x < lowered->width)
            tile(layer, lowered, y, x, head, outputs, sums, 1);
        take_off(layer, lowered, y, head, outputs, sums);
    }
}

#pragma clang attribute pop
#endif
