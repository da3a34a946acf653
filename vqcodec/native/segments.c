#include "segments.h"

/* A group of the symbols may be a part of one of the tables, or all of them one group: count on from here. */
static const vq_table *table_of(vq_tables *tables, const vq_order *order, int group, int class_)
{
    int number = group * order->classes + class_;
    return vq_tables_get(tables, number / tables->classes, number % tables->classes);
}

vq_result vq_encode(vq_coder *coder, vq_order *order, vq_tables *tables, const int32_t *symbols,
                    const int32_t *classes)
{
    for (int g = 0; g < order->groups; g++) {
        if (vq_order_sort(order, classes, g) < 0)
            return VQ_BAD_CLASS;
        int place = 0;
        for (int c = 0; c < order->classes; c++) {
            if (place == order->ends[c])
                continue;
            const vq_table *table = table_of(tables, order, g, c);
            if (table == NULL)
                return VQ_NO_MEMORY;
            for (; place < order->ends[c]; place++) {
                size_t at = (size_t)order->positions[place] * (size_t)order->groups + (size_t)g;
                int32_t k = symbols[at];
                if (k < 0 || k >= tables->words)
                    return VQ_BAD_SYMBOL;
                vq_coder_step(coder, table->left[k], table->left[k + 1] - table->left[k]);
            }
        }
    }
    return coder->result;
}

/* The codeword whose counts hold a quantile below 2**24. */
static uint32_t find(const vq_table *table, uint32_t words, uint32_t quantile)
{
    uint32_t first = 0, length = words;
    while (length > 1) {
        uint32_t half = length / 2;
        first = table->left[first + half] <= quantile ? first + half : first;
        length -= half;
    }
    return first;
}

static vq_result decode_run(vq_coder *coder, const vq_table *table, uint32_t words, const int32_t *positions,
                            int count, int32_t *symbols, size_t step)
{
    for (int i = 0; i < count; i++) {
        uint64_t scale = coder->range >> VQ_TOTAL_BITS, point = coder->point - coder->low;
        uint32_t k = table->likely, left = table->likely_left, own = table->likely_count;
        /* Below `left` the difference wraps, and is too large as well. */
        if (point - scale * left >= scale * own) {
            uint64_t quantile = point / scale;
            if (quantile >= VQ_TOTAL)
                return VQ_CORRUPT;
            k = find(table, words, (uint32_t)quantile);
            left = table->left[k];
            own = table->left[k + 1] - left;
        }
        symbols[(size_t)positions[i] * step] = (int32_t)k;
        /* The interval of a reader is that of the writer it checks against, and takes its point along. */
        vq_coder_step(coder, left, own);
    }
    return coder->result;
}

vq_result vq_decode(vq_coder *coder, vq_order *order, vq_tables *tables, int32_t *symbols,
                    const int32_t *classes)
{
    for (int g = 0; g < order->groups; g++) {
        if (vq_order_sort(order, classes, g) < 0)
            return VQ_BAD_CLASS;
        int place = 0;
        for (int c = 0; c < order->classes; c++) {
            int end = order->ends[c];
            if (place == end)
                continue;
            const vq_table *table = table_of(tables, order, g, c);
            if (table == NULL)
                return VQ_NO_MEMORY;
            vq_result result = decode_run(coder, table, (uint32_t)tables->words, order->positions + place,
                                          end - place, symbols + g, (size_t)order->groups);
            if (result != VQ_OK)
                return result;
            place = end;
        }
    }
    return coder->result;
}
