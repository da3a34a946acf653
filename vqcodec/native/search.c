#include "search.h"

#include <math.h>
#include <stdlib.h>

#include "isa.h"
#include "order.h"
#include "pool.h"

#ifdef VQ_X86
#include <immintrin.h>
#endif

/* Places of a search that share a class: their residuals, and where their codewords go. */
enum { TOGETHER = 2 };

/* First of the least costs of `padded` codewords for each of `count` residuals r[j][i], at most TOGETHER; those
   that only fill up cost infinity. Two at a time keep more units busy, and read the codewords once. */
typedef void nearest(const float *factors, const float *price, const float r[][TOGETHER], int size, int padded,
                     int count, int32_t *found);

static void nearest_portable(const float *factors, const float *price, const float r[][TOGETHER], int size,
                             int padded, int count, int32_t *found)
{
    for (int p = 0; p < count; p++) {
        float least = INFINITY;
        found[p] = 0;
        for (int k = 0; k < padded; k += VQ_LANES) {
            float cost[VQ_LANES];
            for (int i = 0; i < VQ_LANES; i++)
                cost[i] = r[0][p] * factors[k + i];
            for (int j = 1; j < size; j++)
                for (int i = 0; i < VQ_LANES; i++)
                    cost[i] = cost[i] + r[j][p] * factors[(size_t)j * (size_t)padded + (size_t)(k + i)];
            for (int i = 0; i < VQ_LANES; i++) {
                cost[i] = cost[i] + price[k + i];
                if (cost[i] < least) {
                    least = cost[i];
                    found[p] = k + i;
                }
            }
        }
    }
}

#ifdef VQ_X86
VQ_TARGET_AVX2 VQ_INLINE void lanes_avx2(const float *factors, const float *price, const float r[][TOGETHER],
                                         const int size, int padded, const int count, int32_t *found)
{
    __m256 least[TOGETHER];
    __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), where[TOGETHER];
    for (int p = 0; p < count; p++) {
        least[p] = _mm256_set1_ps(INFINITY);
        where[p] = at;
    }
    for (int k = 0; k < padded; k += 8) {
        for (int p = 0; p < count; p++) {
            __m256 cost = _mm256_mul_ps(_mm256_set1_ps(r[0][p]), _mm256_loadu_ps(factors + k));
            for (int j = 1; j < size; j++) {
                __m256 factor = _mm256_loadu_ps(factors + (size_t)j * (size_t)padded + (size_t)k);
                cost = _mm256_add_ps(cost, _mm256_mul_ps(_mm256_set1_ps(r[j][p]), factor));
            }
            cost = _mm256_add_ps(cost, _mm256_loadu_ps(price + k));
            __m256 less = _mm256_cmp_ps(cost, least[p], _CMP_LT_OQ);
            least[p] = _mm256_blendv_ps(least[p], cost, less);
            where[p] = _mm256_blendv_epi8(where[p], at, _mm256_castps_si256(less));
        }
        at = _mm256_add_epi32(at, _mm256_set1_epi32(8));
    }
    for (int p = 0; p < count; p++) {
        float costs[8];
        int32_t places[8], best = 0;
        _mm256_storeu_ps(costs, least[p]);
        _mm256_storeu_si256((__m256i *)places, where[p]);
        for (int i = 1; i < 8; i++)
            if (costs[i] < costs[best] || (costs[i] == costs[best] && places[i] < places[best]))
                best = i;
        found[p] = places[best];
    }
}

VQ_TARGET_AVX512 VQ_INLINE void lanes_avx512(const float *factors, const float *price, const float r[][TOGETHER],
                                             const int size, int padded, const int count, int32_t *found)
{
    __m512 least[TOGETHER];
    __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), where[TOGETHER];
    for (int p = 0; p < count; p++) {
        least[p] = _mm512_set1_ps(INFINITY);
        where[p] = at;
    }
    for (int k = 0; k < padded; k += 16) {
        for (int p = 0; p < count; p++) {
            __m512 cost = _mm512_mul_ps(_mm512_set1_ps(r[0][p]), _mm512_loadu_ps(factors + k));
            for (int j = 1; j < size; j++) {
                __m512 factor = _mm512_loadu_ps(factors + (size_t)j * (size_t)padded + (size_t)k);
                cost = _mm512_add_ps(cost, _mm512_mul_ps(_mm512_set1_ps(r[j][p]), factor));
            }
            cost = _mm512_add_ps(cost, _mm512_loadu_ps(price + k));
            __mmask16 less = _mm512_cmp_ps_mask(cost, least[p], _CMP_LT_OQ);
            least[p] = _mm512_mask_mov_ps(least[p], less, cost);
            where[p] = _mm512_mask_mov_epi32(where[p], less, at);
        }
        at = _mm512_add_epi32(at, _mm512_set1_epi32(16));
    }
    for (int p = 0; p < count; p++) {
        __m512 best = _mm512_set1_ps(_mm512_reduce_min_ps(least[p]));
        __mmask16 equal = _mm512_cmp_ps_mask(least[p], best, _CMP_EQ_OQ);
        found[p] = _mm512_mask_reduce_min_epi32(equal, where[p]);
    }
}

/* One body for each usual size, in which all loops but that over the codewords are unrolled. */
#define VQ_BY_SIZE(lanes)                                                            \
    if (count == 2 && size == 1)                                                     \
        lanes(factors, price, r, 1, padded, 2, found);                               \
    else if (count == 2 && size == 2)                                                \
        lanes(factors, price, r, 2, padded, 2, found);                               \
    else if (count == 2 && size == 4)                                                \
        lanes(factors, price, r, 4, padded, 2, found);                               \
    else                                                                             \
        lanes(factors, price, r, size, padded, count, found)

VQ_TARGET_AVX2 static void nearest_avx2(const float *factors, const float *price, const float r[][TOGETHER],
                                        int size, int padded, int count, int32_t *found)
{
    VQ_BY_SIZE(lanes_avx2);
}

VQ_TARGET_AVX512 static void nearest_avx512(const float *factors, const float *price, const float r[][TOGETHER],
                                            int size, int padded, int count, int32_t *found)
{
    VQ_BY_SIZE(lanes_avx512);
}
#endif

static nearest *best_nearest(void)
{
#ifdef VQ_X86
    if (vq_isa_now() >= VQ_AVX512VNNI)
        return nearest_avx512;
    if (vq_isa_now() != VQ_PORTABLE)
        return nearest_avx2;
#endif
    return nearest_portable;
}

VQ_INLINE void add_codes(const float *restrict norms, const uint8_t *restrict codes, int words, float *restrict price)
{
    for (int k = 0; k < words; k++)
        price[k] = norms[k] + (float)VQ_CODE_NATS * (float)codes[k];
}

#ifdef VQ_X86
VQ_TARGET_AVX2 static void add_codes_avx2(const float *norms, const uint8_t *codes, int words, float *price)
{
    add_codes(norms, codes, words, price);
}
#endif

/* What the codewords of a class cost, whatever the residual. */
static void set_price(const vq_search *search, int group, int class_, float *price)
{
    uint8_t codes[VQ_WORDS];
    int words = search->tables->words;
    const float *norms = search->norms + (size_t)group * (size_t)search->padded;
    vq_tables_codes(search->tables, group, class_, codes);
#ifdef VQ_X86
    if (vq_isa_now() != VQ_PORTABLE)
        add_codes_avx2(norms, codes, words, price);
    else
#endif
        add_codes(norms, codes, words, price);
    for (int k = words; k < search->padded; k++)
        price[k] = INFINITY;
}

typedef struct {
    const vq_search *search;
    vq_open open;
    nearest *nearest;
    _Atomic int result;
} run;

/* The places of a class, in pairs. */
static void search_class(const run *run, int group, const float *price, const int32_t *positions, int count)
{
    const vq_search *search = run->search;
    int groups = search->tables->groups, size = search->size;
    const float *factors = search->factors + (size_t)group * (size_t)size * (size_t)search->padded;
    for (int place = 0; place < count; place += TOGETHER) {
        float r[VQ_MOST_SIZE][TOGETHER];
        int32_t found[TOGETHER];
        int pair = count - place < TOGETHER ? count - place : TOGETHER;
        for (int p = 0; p < pair; p++) {
            const float *residual = search->residual + (size_t)positions[place + p] * search->residual_step + group;
            for (int j = 0; j < size; j++)
                r[j][p] = residual[j * groups];
        }
        run->nearest(factors, price, r, size, search->padded, pair, found);
        for (int p = 0; p < pair; p++)
            search->index[(size_t)positions[place + p] * (size_t)groups + (size_t)group] = found[p];
    }
}

static void part(void *context, int group)
{
    run *run = context;
    vq_order order;
    float price[VQ_WORDS];
    if (vq_order_start(&order, run->open.sizes[group], run->open.classes) < 0) {
        run->result = -1;
        return;
    }
    vq_order_sort(&order, &run->open, group, NULL);
    for (const vq_run *own = order.runs; own < order.runs + order.count; own++) {
        set_price(run->search, group, own->class_, price);
        search_class(run, group, price, order.positions + own->first, own->end - own->first);
    }
    vq_order_free(&order);
}

int vq_search_run(const vq_search *search, int threads)
{
    vq_tables *tables = search->tables;
    run run = {.search = search, .nearest = best_nearest()};
    if (vq_open_start(&run.open, tables->groups, search->count, tables->classes) < 0)
        return -1;
    if ((search->certain ? vq_open_find(&run.open, tables, search->classes, search->class_step, search->index)
                         : vq_open_all(&run.open, search->classes, search->class_step)) < 0)
        run.result = -2;
    else
        vq_pool_run(threads, tables->groups, part, &run);
    vq_open_free(&run.open);
    return run.result;
}
