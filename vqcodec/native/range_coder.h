/* The range coder of FORMAT.md, "Entropy coder": 64-bit state, 32-bit words, tables of counts of sum 2**24. */
#ifndef VQ_RANGE_CODER_H
#define VQ_RANGE_CODER_H

#include <stddef.h>
#include <stdint.h>

#define VQ_TOTAL_BITS 24
#define VQ_TOTAL (1u << VQ_TOTAL_BITS)
#define VQ_WORD ((uint64_t)1 << 32)

typedef enum { VQ_OK, VQ_CORRUPT, VQ_NO_MEMORY, VQ_BAD_CLASS, VQ_BAD_SYMBOL } vq_result;

/* A writer appends its words; the check of a reader compares them with those it was given instead. */
typedef struct {
    uint64_t low, range, held; /* held: words that wait for a carry, `first` and then all ones */
    uint64_t point;            /* of a reader: the 64 bits that it looks at */
    uint32_t first;
    int reading;
    vq_result result; /* VQ_OK until a word could not be kept, or was another */
    uint32_t *words;
    size_t count, room; /* words written or compared; how many there is memory for, or were given */
    size_t next;        /* of a reader: words that `point` has taken */
} vq_coder;

void vq_coder_write(vq_coder *coder);
/* words: `count` of them, taken over and freed like those of a writer. */
void vq_coder_read(vq_coder *coder, uint32_t *words, size_t count);
void vq_coder_free(vq_coder *coder);
/* Write, or compare, the last words. */
vq_result vq_coder_end(vq_coder *coder);

/* What `vq_coder_step` leaves to be done now and then. */
void vq_coder_release(vq_coder *coder, uint64_t x);
void vq_coder_shift(vq_coder *coder);

/* Narrow the interval to a symbol with `count` of the counts, and `left` of them before it. */
static inline void vq_coder_step(vq_coder *coder, uint32_t left, uint32_t count)
{
    uint64_t scale = coder->range >> VQ_TOTAL_BITS, next = coder->low + scale * left;
    coder->range = scale * count;
    if (coder->held > 0 && next + coder->range > next)
        vq_coder_release(coder, next);
    coder->low = next;
    if (coder->range < VQ_WORD)
        vq_coder_shift(coder);
}

#endif
