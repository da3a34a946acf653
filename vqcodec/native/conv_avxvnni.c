#include "conv_isa.h"

#ifdef VQ_X86_AVXVNNI
#include <immintrin.h>

#define VQ_TARGET VQ_TARGET_AVXVNNI
#include "conv_ymm.h"

#define VQ_FUNCTION vq_conv8_avxvnni
#define VQ_DOT _mm256_dpbusd_avx_epi32
#include "conv_tiles.h"
#undef VQ_FUNCTION
#undef VQ_DOT

#define VQ_FUNCTION vq_conv16_avxvnni
#define VQ_DOT _mm256_dpwssd_avx_epi32
#include "conv_tiles.h"
#endif
