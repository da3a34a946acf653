#include "rows.h"

#include "isa.h"

extern const vq_rows vq_rows_portable, vq_rows_avx2, vq_rows_avx512;

const vq_rows *vq_rows_now(void)
{
    switch (vq_isa_now()) {
#ifdef VQ_X86
    case VQ_AMX:
    case VQ_AVX512VNNI:
        return &vq_rows_avx512;
    case VQ_AVXVNNI:
    case VQ_AVX2:
        return &vq_rows_avx2;
#endif
    default:
        return &vq_rows_portable;
    }
}
