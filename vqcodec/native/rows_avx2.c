#include "isa.h"

#ifdef VQ_X86
#define VQ_TARGET VQ_TARGET_AVX2
#define VQ_TABLE vq_rows_avx2
#include "rows_body.h"
#endif
