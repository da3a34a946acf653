/* Class offsets: equal symbols of a class are priced once, and classes' rows are found once for all of them. */
#include <stdlib.h>
#include <string.h>

#include "order.h"
#include "pool.h"
#include "search.h"

typedef struct {
    int32_t word, count;
} pair;

/* The symbols of a group: `pairs` of classes[i] end before ends[i]. */
typedef struct {
    pair *pairs;
    int32_t *classes, *ends;
    int runs;
} histogram;

static int count_symbols(const vq_offset_search *search, int group, const vq_order *order, int32_t *slots,
                         histogram *all)
{
    int pairs = 0, groups = search->tables->groups;
    all->runs = 0;
    for (const vq_run *run = order->runs; run < order->runs + order->count; run++) {
        int first = pairs;
        for (int place = run->first; place < run->end; place++) {
            int32_t k = search->index[(size_t)order->positions[place] * (size_t)groups + (size_t)group];
            if (k < 0 || k >= search->tables->words)
                return -1;
            /* A slot is left from another class unless it leads to this codeword. */
            if (slots[k] < first || slots[k] >= pairs || all->pairs[slots[k]].word != k) {
                slots[k] = pairs;
                all->pairs[pairs++] = (pair){k, 0};
            }
            all->pairs[slots[k]].count++;
        }
        all->classes[all->runs] = run->class_;
        all->ends[all->runs++] = pairs;
    }
    return 0;
}

static int64_t cost(const vq_offset_search *search, int group, const histogram *all, int offset)
{
    vq_tables *tables = search->tables;
    const int32_t *moved = search->moved + (size_t)offset * (size_t)tables->classes;
    int64_t sum = search->own[offset];
    const pair *pair = all->pairs;
    for (int i = 0; i < all->runs; i++) {
        const uint8_t *rows[VQ_NUMBERS];
        int class_ = moved[all->classes[i]];
        vq_price price = vq_tables_price(tables, group, class_);
        vq_tables_rows(tables, group, class_, rows);
        for (; pair < all->pairs + all->ends[i]; pair++) {
            int32_t code = -(int32_t)price.least;
            for (int n = 0; n < tables->numbers; n++)
                code += rows[n][pair->word];
            sum += (int64_t)pair->count * ((code < 255 ? code : 255) * VQ_CODE_UNITS + price.log);
        }
    }
    return sum;
}

/* One context number after the other, by all steps of each. */
static int choose(const vq_offset_search *search, int group, const histogram *all, int64_t *least, int64_t *unmoved)
{
    int best = search->zero, stride = search->offsets;
    *least = cost(search, group, all, best);
    *unmoved = *least - search->own[best];
    for (int n = 0; n < search->numbers; n++) {
        int size = search->shape[n];
        stride /= size;
        int rest = best - best / stride % size * stride;
        for (int step = 0; step < size; step++) {
            int number = rest + step * stride;
            int64_t found = cost(search, group, all, number);
            if (found < *least) {
                *least = found;
                best = number;
            }
        }
    }
    return best;
}

typedef struct {
    const vq_offset_search *search;
    vq_open open;
    int64_t *least, *unmoved; /* by group */
    int32_t *chosen;
    _Atomic int result;
} run;

static void part(void *context, int group)
{
    run *run = context;
    const vq_offset_search *search = run->search;
    vq_tables *tables = search->tables;
    size_t count = (size_t)run->open.sizes[group] + 1, classes = (size_t)tables->classes;
    histogram all = {.pairs = malloc(count * sizeof *all.pairs)};
    all.classes = malloc((2 * classes + (size_t)tables->words) * sizeof *all.classes);
    vq_order order;
    int started = vq_order_start(&order, run->open.sizes[group], tables->classes) == 0;
    if (!started || all.pairs == NULL || all.classes == NULL) {
        run->result = -1;
    } else {
        int32_t *slots = all.classes + 2 * classes;
        all.ends = all.classes + classes;
        memset(slots, 0, (size_t)tables->words * sizeof *slots);
        vq_order_sort(&order, &run->open, group, NULL);
        if (count_symbols(search, group, &order, slots, &all) < 0)
            run->result = -2;
        else
            run->chosen[group] = choose(search, group, &all, &run->least[group], &run->unmoved[group]);
    }
    if (started)
        vq_order_free(&order);
    free(all.pairs);
    free(all.classes);
}

int vq_offsets_run(const vq_offset_search *search, int threads, int32_t *chosen)
{
    int groups = search->tables->groups;
    run run = {.search = search, .chosen = chosen, .least = calloc(2 * (size_t)groups, sizeof *run.least)};
    if (run.least == NULL)
        return -1;
    run.unmoved = run.least + groups;
    if (vq_open_start(&run.open, groups, search->count, search->tables->classes) < 0) {
        free(run.least);
        return -1;
    }
    if (vq_open_find(&run.open, search->tables, search->classes, (size_t)groups, NULL) < 0)
        run.result = -2;
    else
        vq_pool_run(threads, groups, part, &run);
    vq_open_free(&run.open);
    int64_t gain = 0;
    for (int g = 0; g < groups; g++)
        gain += run.unmoved[g] - run.least[g];
    /* All zero costs no more than a flag. */
    for (int g = 0; g < groups && gain <= 0; g++)
        chosen[g] = search->zero;
    free(run.least);
    return run.result;
}
