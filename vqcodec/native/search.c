#include "search.h"

#include <math.h>
#include <stdlib.h>

#include "isa.h"
#include "order.h"
#include "pool.h"

#ifdef VQ_X86
#include <immintrin.h>
#endif

/* First of the least costs of `padded` codewords; those that only fill up cost infinity. */
typedef int nearest(const float *factors, const float *price, const float *r, int size, int padded);

static int nearest_portable(const float *factors, const float *price, const float *r, int size, int padded)
{
    int best = 0;
    float least = INFINITY;
    for (int k = 0; k < padded; k += VQ_LANES) {
        float cost[VQ_LANES];
        for (int i = 0; i < VQ_LANES; i++)
            cost[i] = r[0] * factors[k + i];
        for (int j = 1; j < size; j++)
            for (int i = 0; i < VQ_LANES; i++)
                cost[i] = cost[i] + r[j] * factors[(size_t)j * (size_t)padded + (size_t)(k + i)];
        for (int i = 0; i < VQ_LANES; i++) {
            cost[i] = cost[i] + price[k + i];
            if (cost[i] < least) {
                least = cost[i];
                best = k + i;
            }
        }
    }
    return best;
}

#ifdef VQ_X86
static int first_of(const float *least, const int32_t *where, int lanes)
{
    int best = 0;
    for (int i = 1; i < lanes; i++)
        if (least[i] < least[best] || (least[i] == least[best] && where[i] < where[best]))
            best = i;
    return where[best];
}

VQ_TARGET_AVX2 static int nearest_avx2(const float *factors, const float *price, const float *r, int size,
                                       int padded)
{
    __m256 least = _mm256_set1_ps(INFINITY);
    __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), where = at, eight = _mm256_set1_epi32(8);
    for (int k = 0; k < padded; k += 8) {
        __m256 cost = _mm256_mul_ps(_mm256_set1_ps(r[0]), _mm256_loadu_ps(factors + k));
        for (int j = 1; j < size; j++) {
            __m256 factor = _mm256_loadu_ps(factors + (size_t)j * (size_t)padded + (size_t)k);
            cost = _mm256_add_ps(cost, _mm256_mul_ps(_mm256_set1_ps(r[j]), factor));
        }
        cost = _mm256_add_ps(cost, _mm256_loadu_ps(price + k));
        __m256 less = _mm256_cmp_ps(cost, least, _CMP_LT_OQ);
        least = _mm256_blendv_ps(least, cost, less);
        where = _mm256_blendv_epi8(where, at, _mm256_castps_si256(less));
        at = _mm256_add_epi32(at, eight);
    }
    float costs[8];
    int32_t places[8];
    _mm256_storeu_ps(costs, least);
    _mm256_storeu_si256((__m256i *)places, where);
    return first_of(costs, places, 8);
}

VQ_TARGET_AVX512 VQ_INLINE int nearest_lanes(const float *factors, const float *price, const float *r,
                                             const int size, int padded)
{
    __m512 least = _mm512_set1_ps(INFINITY), residual[VQ_MOST_SIZE];
    __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), where = at;
    for (int j = 0; j < size; j++)
        residual[j] = _mm512_set1_ps(r[j]);
    for (int k = 0; k < padded; k += 16) {
        __m512 cost = _mm512_mul_ps(residual[0], _mm512_loadu_ps(factors + k));
        for (int j = 1; j < size; j++) {
            __m512 factor = _mm512_loadu_ps(factors + (size_t)j * (size_t)padded + (size_t)k);
            cost = _mm512_add_ps(cost, _mm512_mul_ps(residual[j], factor));
        }
        cost = _mm512_add_ps(cost, _mm512_loadu_ps(price + k));
        __mmask16 less = _mm512_cmp_ps_mask(cost, least, _CMP_LT_OQ);
        least = _mm512_mask_mov_ps(least, less, cost);
        where = _mm512_mask_mov_epi32(where, less, at);
        at = _mm512_add_epi32(at, _mm512_set1_epi32(16));
    }
    __mmask16 equal = _mm512_cmp_ps_mask(least, _mm512_set1_ps(_mm512_reduce_min_ps(least)), _CMP_EQ_OQ);
    return equal ? _mm512_mask_reduce_min_epi32(equal, where) : 0;
}

VQ_TARGET_AVX512 static int nearest_avx512(const float *factors, const float *price, const float *r, int size,
                                           int padded)
{
    switch (size) {
    case 1:
        return nearest_lanes(factors, price, r, 1, padded);
    case 2:
        return nearest_lanes(factors, price, r, 2, padded);
    case 4:
        return nearest_lanes(factors, price, r, 4, padded);
    default:
        return nearest_lanes(factors, price, r, size, padded);
    }
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

/* What the codewords of a class cost, whatever the residual. */
static void set_price(const vq_search *search, int group, int class_, float *price)
{
    uint8_t codes[VQ_WORDS];
    const float *norms = search->norms + (size_t)group * (size_t)search->padded;
    vq_tables_codes(search->tables, group, class_, codes);
    for (int k = 0; k < search->tables->words; k++)
        price[k] = norms[k] + (float)VQ_CODE_NATS * (float)codes[k];
    for (int k = search->tables->words; k < search->padded; k++)
        price[k] = INFINITY;
}

typedef struct {
    const vq_search *search;
    nearest *nearest;
    _Atomic int result;
} run;

static void part(void *context, int group)
{
    run *run = context;
    const vq_search *search = run->search;
    int groups = search->tables->groups, size = search->size;
    const float *factors = search->factors + (size_t)group * (size_t)size * (size_t)search->padded;
    vq_order order;
    float price[VQ_WORDS];
    if (vq_order_start(&order, groups, search->count, search->tables->classes) < 0) {
        run->result = -1;
        return;
    }
    order.step = search->class_step;
    int place = 0;
    if (vq_order_sort(&order, search->classes, group) < 0) {
        run->result = -2;
        place = search->count;
    }
    for (int c = 0; place < search->count; c++) {
        if (place == order.ends[c])
            continue;
        set_price(search, group, c, price);
        for (; place < order.ends[c]; place++) {
            size_t position = (size_t)order.positions[place];
            const float *residual = search->residual + position * search->residual_step + group;
            float r[VQ_MOST_SIZE];
            for (int j = 0; j < size; j++)
                r[j] = residual[j * groups];
            search->index[position * (size_t)groups + (size_t)group] =
                run->nearest(factors, price, r, size, search->padded);
        }
    }
    vq_order_free(&order);
}

int vq_search_run(const vq_search *search, int threads)
{
    run run = {.search = search, .nearest = best_nearest()};
    vq_pool_run(threads, search->tables->groups, part, &run);
    return run.result;
}
