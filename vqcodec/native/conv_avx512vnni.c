#include "conv_isa.h"

#ifdef VQ_X86
#include <immintrin.h>
#include <string.h>

#define VQ_TARGET VQ_TARGET_AVX512
#define VQ_VECTOR __m512i
#define VQ_PER_BLOCK 1
#define VQ_BLOCKS 2
#define VQ_PIXELS 12
#define VQ_ZERO() _mm512_setzero_si512()
#define VQ_LOAD(p) _mm512_loadu_si512(p)
#define VQ_STORE(p, v) _mm512_storeu_si512(p, v)

VQ_TARGET VQ_INLINE __m512i repeat(const char *p)
{
    int word;
    memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
}
#define VQ_REPEAT(p) repeat(p)

#define VQ_FUNCTION vq_conv8_avx512vnni
#define VQ_DOT _mm512_dpbusd_epi32
#include "conv_tiles.h"
#undef VQ_FUNCTION
#undef VQ_DOT

#define VQ_FUNCTION vq_conv16_avx512vnni
#define VQ_DOT _mm512_dpwssd_epi32
#include "conv_tiles.h"
#endif
