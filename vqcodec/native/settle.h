/* From the indices of a slice to its latent, and what the slices after it see of it. */
#ifndef VQ_SETTLE_H
#define VQ_SETTLE_H

#include <stddef.h>
#include <stdint.h>

#define VQ_LATENT_MAX 131071

/* 16 asinh(y / 128) by table, of numbers 0..length-1; larger ones count as the largest. */
typedef struct {
    const uint8_t *values;
    uint32_t length;
} vq_compand;

static inline int8_t vq_companded(const vq_compand *compand, int32_t y)
{
    uint32_t size = y < 0 ? 0u - (uint32_t)y : (uint32_t)y;
    int value = compand->values[size < compand->length ? size : compand->length - 1];
    return (int8_t)(y < 0 ? -value : value);
}

enum { VQ_MOST_BANDS = 32 };

typedef struct {
    const int32_t *words, *index; /* (groups, words, size), (pixels, groups) */
    int groups, count, size;      /* count: words of a group */
} vq_settled_band;

typedef struct {
    vq_settled_band bands[VQ_MOST_BANDS];
    int count;             /* of bands, whose channels are all; none for codewords of 0 */
    int channels, columns; /* columns: pixels in a row */
    const int32_t *mean;   /* (pixels, channels) */
    char *latent;          /* int32, rows and columns some bytes apart */
    ptrdiff_t row, column;
    vq_compand compand;
    int8_t *seen; /* (pixels, channels): companded codewords */
} vq_settling;

/* Settle some pixels, from `first` on; -1 where memory is short, -2 if an index has no codeword. */
int vq_settle(const vq_settling *settling, int first, int count);

#endif
