/* Vectors of 256 bits for conv_tiles.h. */
#include <immintrin.h>
#include <string.h>

#define VQ_VECTOR __m256i
#define VQ_PER_BLOCK 2
#define VQ_BLOCKS 1
#define VQ_PIXELS 6
#define VQ_ZERO() _mm256_setzero_si256()
#define VQ_LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define VQ_STORE(p, v) _mm256_storeu_si256((__m256i *)(p), v)

VQ_TARGET VQ_INLINE __m256i repeat(const char *p)
{
    int word;
    memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
}
#define VQ_REPEAT(p) repeat(p)
