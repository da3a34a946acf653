#include "segments.h"

/* A group of the symbols may be a part of one of the tables, or all of them one group: count on from here. */
static const vq_table *table_of(vq_tables *tables, const vq_open *open, int group, int class_)
{
    int number = group * open->classes + class_;
    return vq_tables_get(tables, number / tables->classes, number % tables->classes);
}

static int sort(vq_order *order, const vq_open *open, int group, const int32_t *moves)
{
    const int32_t *own = moves == NULL ? NULL : moves + (size_t)group * (size_t)open->classes;
    return vq_order_sort(order, open, group, own);
}

vq_result vq_encode(vq_coder *coder, vq_order *order, const vq_open *open, vq_tables *tables, const int32_t *moves,
                    const int32_t *symbols)
{
    size_t groups = (size_t)open->groups;
    for (int g = 0; g < open->groups; g++) {
        if (sort(order, open, g, moves) < 0)
            return VQ_BAD_CLASS;
        for (const vq_run *run = order->runs; run < order->runs + order->count; run++) {
            const vq_table *table = table_of(tables, open, g, run->class_);
            if (table == NULL)
                return VQ_NO_MEMORY;
            for (int place = run->first; place < run->end; place++) {
                int32_t k = symbols[(size_t)order->positions[place] * groups + (size_t)g];
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

vq_result vq_decode(vq_coder *coder, vq_order *order, const vq_open *open, vq_tables *tables, const int32_t *moves,
                    int32_t *symbols)
{
    for (int g = 0; g < open->groups; g++) {
        if (sort(order, open, g, moves) < 0)
            return VQ_BAD_CLASS;
        for (const vq_run *run = order->runs; run < order->runs + order->count; run++) {
            const vq_table *table = table_of(tables, open, g, run->class_);
            if (table == NULL)
                return VQ_NO_MEMORY;
            vq_result result =
                decode_run(coder, table, (uint32_t)tables->words, order->positions + run->first,
                           run->end - run->first, symbols + g, (size_t)open->groups);
            if (result != VQ_OK)
                return result;
        }
    }
    return coder->result;
}

/* Symbols that are certain must be what they are certain to be. */
static int agree(const vq_symbols *work)
{
    int wrong = 0;
    for (int i = 0; i < work->count; i++)
        for (int g = 0; g < work->groups; g++) {
            size_t at = (size_t)i * (size_t)work->groups + (size_t)g;
            int32_t word = vq_certain_word(work->tables, g, work->classes[at]);
            wrong |= word >= 0 && word != work->symbols[at];
        }
    return !wrong;
}

static vq_result code_open(vq_coder *coder, vq_order *order, vq_open *open, const vq_symbols *work)
{
    size_t step = (size_t)work->groups;
    int found = work->moves == NULL
                    ? vq_open_all(open, work->classes, step)
                    : vq_open_find(open, work->tables, work->classes, step, work->reading ? work->symbols : NULL);
    if (found < 0)
        return VQ_BAD_CLASS;
    if (work->reading)
        return vq_decode(coder, order, open, work->tables, work->moves, work->symbols);
    if (work->moves != NULL && !agree(work))
        return VQ_BAD_SYMBOL;
    return vq_encode(coder, order, open, work->tables, work->moves, work->symbols);
}

vq_result vq_code_symbols(vq_coder *coder, const vq_symbols *work)
{
    vq_open open;
    vq_order order;
    vq_result result = VQ_NO_MEMORY;
    if (vq_open_start(&open, work->groups, work->count, work->table_classes) < 0)
        return VQ_NO_MEMORY;
    if (vq_order_start(&order, work->count, work->table_classes) == 0) {
        result = code_open(coder, &order, &open, work);
        vq_order_free(&order);
    }
    vq_open_free(&open);
    return result;
}
