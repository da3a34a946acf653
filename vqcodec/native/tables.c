#include "tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "isa.h"
#include "range_coder.h"

int vq_tables_start(vq_tables *tables)
{
    size_t count = (size_t)tables->groups * (size_t)tables->classes;
    tables->tables = calloc(count + 1, sizeof *tables->tables);
    tables->prices = calloc(count + 1, sizeof *tables->prices);
    tables->certain = calloc(count + 1, sizeof *tables->certain);
    return tables->tables != NULL && tables->prices != NULL && tables->certain != NULL ? 0 : -1;
}

void vq_tables_free(vq_tables *tables)
{
    if (tables->tables != NULL)
        for (size_t i = 0; i < (size_t)tables->groups * (size_t)tables->classes; i++)
            free(tables->tables[i]);
    free(tables->tables);
    free(tables->prices);
    free(tables->certain);
}

void vq_tables_rows(const vq_tables *tables, int group, int class_, const uint8_t **rows)
{
    size_t words = (size_t)tables->words;
    const uint8_t *all = tables->rows + (size_t)group * (size_t)tables->sum * words;
    int start = tables->sum;
    /* The last context number counts up first. */
    for (int n = tables->numbers - 1; n >= 0; n--) {
        start -= tables->bins[n];
        rows[n] = all + (size_t)(start + class_ % tables->bins[n]) * words;
        class_ /= tables->bins[n];
    }
}

/* Codes, and the least sum of rows. */
static inline __attribute__((always_inline)) uint16_t add_up(const uint8_t *const *rows, int numbers, size_t words,
                                                              uint8_t *restrict codes)
{
    uint16_t sums[VQ_WORDS], least = UINT16_MAX;
    for (size_t k = 0; k < words; k++)
        sums[k] = rows[0][k];
    for (int n = 1; n < numbers; n++)
        for (size_t k = 0; k < words; k++)
            sums[k] = (uint16_t)(sums[k] + rows[n][k]);
    for (size_t k = 0; k < words; k++)
        least = sums[k] < least ? sums[k] : least;
    for (size_t k = 0; k < words; k++) {
        uint16_t above = (uint16_t)(sums[k] - least);
        codes[k] = (uint8_t)(above < 255 ? above : 255);
    }
    return least;
}

#ifdef VQ_X86
VQ_TARGET_AVX2 static uint16_t add_up_avx2(const uint8_t *const *rows, int numbers, size_t words, uint8_t *codes)
{
    return add_up(rows, numbers, words, codes);
}
#endif

uint16_t vq_tables_codes(const vq_tables *tables, int group, int class_, uint8_t *codes)
{
    const uint8_t *rows[VQ_NUMBERS];
    vq_tables_rows(tables, group, class_, rows);
#ifdef VQ_X86
    if (vq_isa_now() != VQ_PORTABLE)
        return add_up_avx2(rows, tables->numbers, (size_t)tables->words, codes);
#endif
    return add_up(rows, tables->numbers, (size_t)tables->words, codes);
}

/* 1 + power * share / total rounded down, by a quotient in floating point that is off by 1 at most. */
static inline uint32_t count_of(uint32_t power, double factor, int64_t share, int64_t total)
{
    int32_t quotient = (int32_t)((double)(int64_t)power * factor);
    int64_t rest = (int64_t)power * share - quotient * total;
    return (uint32_t)(1 + quotient + (rest >= total) - (rest < 0));
}

/* Turn the counts in `left` to a table; what they lack to 2**24 goes to the largest, the first of them. */
static void sum_up(vq_table *table, uint32_t words)
{
    uint32_t *left = table->left, sum = 0, largest = 0;
    table->likely = 0;
    for (uint32_t k = 0; k < words; k++) {
        sum += left[k];
        if (left[k] > largest) {
            largest = left[k];
            table->likely = k;
        }
    }
    left[table->likely] += VQ_TOTAL - sum;
    table->likely_count = left[table->likely];
    sum = 0;
    for (uint32_t k = 0; k < words; k++) {
        uint32_t count = left[k];
        left[k] = sum;
        sum += count;
    }
    left[words] = sum;
    table->likely_left = left[table->likely];
}

static void fill(const vq_tables *tables, int group, int class_, vq_table *table)
{
    uint8_t codes[VQ_WORDS];
    uint32_t words = (uint32_t)tables->words, *left = table->left;
    vq_tables_codes(tables, group, class_, codes);
    int64_t total = 0, share = VQ_TOTAL - words;
    for (uint32_t k = 0; k < words; k++)
        total += left[k] = tables->powers[codes[k]];
    double factor = (double)share / (double)total;
    for (uint32_t k = 0; k < words; k++)
        left[k] = count_of(left[k], factor, share, total);
    sum_up(table, words);
}

static vq_table *room_for(const vq_tables *tables)
{
    return malloc(sizeof(vq_table) + ((size_t)tables->words + 1) * sizeof(uint32_t));
}

const vq_table *vq_tables_make(vq_tables *tables, int group, int class_)
{
    vq_table *table = room_for(tables), *other = NULL;
    if (table == NULL)
        return NULL;
    fill(tables, group, class_, table);
    size_t place = (size_t)group * (size_t)tables->classes + (size_t)class_;
    if (atomic_compare_exchange_strong(&tables->tables[place], &other, table))
        return table;
    free(table); /* another thread made the same one */
    return other;
}

int vq_tables_set(vq_tables *tables, int class_, const int32_t *counts)
{
    vq_table *table = room_for(tables);
    uint64_t sum = 0;
    int valid = 1;
    if (table == NULL)
        return -1;
    for (int k = 0; k < tables->words; k++) {
        valid &= counts[k] >= 1;
        sum += table->left[k] = (uint32_t)counts[k];
    }
    if (!valid || sum != VQ_TOTAL) {
        free(table);
        return -2;
    }
    sum_up(table, (uint32_t)tables->words);
    free(tables->tables[class_]);
    tables->tables[class_] = table;
    return 0;
}

vq_price vq_tables_price(vq_tables *tables, int group, int class_)
{
    _Atomic uint64_t *place = &tables->prices[(size_t)group * (size_t)tables->classes + (size_t)class_];
    uint64_t known = atomic_load_explicit(place, memory_order_relaxed);
    if (known == 0) {
        uint8_t codes[VQ_WORDS];
        uint64_t sum = 0;
        uint16_t least = vq_tables_codes(tables, group, class_, codes);
        for (int k = 0; k < tables->words; k++)
            sum += tables->powers[codes[k]];
        int32_t log_ = (int32_t)rint(log((double)sum * 0x1p-31) * (VQ_CODE_UNITS / VQ_CODE_NATS));
        known = (uint64_t)1 << 63 | (uint64_t)least << 32 | (uint32_t)log_;
        atomic_store_explicit(place, known, memory_order_relaxed); /* any thread finds the same */
    }
    return (vq_price){(uint16_t)(known >> 32), (int32_t)(uint32_t)known};
}
