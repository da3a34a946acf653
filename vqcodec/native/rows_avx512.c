#include "isa.h"

#ifdef VQ_X86
#define VQ_TARGET VQ_TARGET_AVX512
#define VQ_TABLE vq_rows_avx512
#include "rows_body.h"
#endif
