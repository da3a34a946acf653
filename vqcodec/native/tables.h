/* Tables of counts of a band, each made from rows of codes when it is first asked for (FORMAT.md, "Tables"). */
#ifndef VQ_TABLES_H
#define VQ_TABLES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define VQ_NUMBERS 4         /* most context numbers */
#define VQ_WORDS (1 << 13)   /* most codewords of a group */

typedef struct {
    uint32_t likely, likely_left, likely_count; /* the likeliest codeword, which most symbols are */
    uint32_t left[];                            /* counts before each codeword, and 2**24 after the last */
} vq_table;

typedef struct {
    const uint8_t *rows; /* (groups, sum of bins, words) */
    int numbers, bins[VQ_NUMBERS];
    int groups, sum, classes, words; /* classes: product of bins */
    uint32_t powers[256];
    _Atomic(vq_table *) *tables; /* (groups, classes), null where not made yet */
    _Atomic uint64_t *prices;    /* the same of what `vq_tables_price` knows, 0 where not yet */
    _Atomic int32_t *certain;    /* the same of what `vq_certain_make` finds, 0 where not yet: codeword + 1, or -1 */
} vq_tables;

/* Sizes and powers of `tables` are set; 0, or -1 where memory is short. */
int vq_tables_start(vq_tables *tables);
/* A table that is given by its counts (words,); -1 where memory is short, -2 where they are none. */
int vq_tables_set(vq_tables *tables, int class_, const int32_t *counts);
void vq_tables_free(vq_tables *tables);

/* A table, made if need be, from any thread; null where memory is short. Group and class are in range. */
const vq_table *vq_tables_make(vq_tables *tables, int group, int class_);
static inline const vq_table *vq_tables_get(vq_tables *tables, int group, int class_)
{
    size_t place = (size_t)group * (size_t)tables->classes + (size_t)class_;
    vq_table *table = atomic_load_explicit(&tables->tables[place], memory_order_acquire);
    return table != NULL ? table : vq_tables_make(tables, group, class_);
}

/* Rows (words,) whose sums are the codes of a class before the least is taken off; tables->numbers of them. */
void vq_tables_rows(const vq_tables *tables, int group, int class_, const uint8_t **rows);

/* A codeword of a class costs min(sum of its rows - least, 255) * VQ_CODE_UNITS + log, in units. */
#define VQ_CODE_UNITS 1024
#define VQ_CODE_NATS (17.0 / 255)
typedef struct {
    uint16_t least;
    int32_t log;
} vq_price;
vq_price vq_tables_price(vq_tables *tables, int group, int class_);

/* Codes (words,) of a class: its rows' sums less the least of them, 255 at most; returns the least. */
uint16_t vq_tables_codes(const vq_tables *tables, int group, int class_, uint8_t *codes);

#endif
