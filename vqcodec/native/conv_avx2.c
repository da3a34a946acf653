#include "conv_isa.h"

#ifdef VQ_X86
#include <immintrin.h>

#define VQ_TARGET VQ_TARGET_AVX2
#include "conv_ymm.h"

/* Pairs of products fit s16, since weights are at most 64 in size. */
#define VQ_FUNCTION vq_conv8_avx2
#define VQ_DOT(sum, input, weight) \
    _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(input, weight), _mm256_set1_epi16(1)))
#include "conv_tiles.h"
#undef VQ_FUNCTION
#undef VQ_DOT

#define VQ_FUNCTION vq_conv16_avx2
#define VQ_DOT(sum, input, weight) _mm256_add_epi32(sum, _mm256_madd_epi16(input, weight))
#include "conv_tiles.h"
#endif
