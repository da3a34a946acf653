/* Which instruction set the kernels use: the best that this CPU has, or a lower one on request. */
#ifndef VQ_ISA_H
#define VQ_ISA_H

#if defined(__GNUC__)
#define VQ_INLINE static inline __attribute__((always_inline))
#else
#define VQ_INLINE static inline
#endif

/* Functions for one instruction set are compiled for it one by one, so that the module runs on any of its kind. */
#if defined(__x86_64__) && defined(__GNUC__)
#define VQ_X86 1
#define VQ_TARGET_AVX2 __attribute__((target("avx2")))
#define VQ_TARGET_AVX512 __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#if __GNUC__ >= 11 || (defined(__clang__) && __clang_major__ >= 12)
#define VQ_X86_AVXVNNI 1
#define VQ_TARGET_AVXVNNI __attribute__((target("avx2,avxvnni")))
#ifdef __linux__
#define VQ_X86_AMX 1
#endif
#endif
#endif

#if defined(__aarch64__) && defined(__GNUC__)
#define VQ_ARM 1
#ifdef __clang__
#define VQ_TARGET_NEON __attribute__((target("dotprod")))
#else
#define VQ_TARGET_NEON __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#endif

typedef enum { VQ_PORTABLE, VQ_NEON, VQ_AVX2, VQ_AVXVNNI, VQ_AVX512VNNI, VQ_AMX, VQ_ISAS } vq_isa;

/* Detects the CPU and reads VQCODEC_ISA; once, when the module is loaded. Returns 0, or -1 for an unknown
   name there. A name that this CPU cannot run means the best below it. */
int vq_isa_start(void);

/* Switches to `name`, or to the best below it that this CPU has; -1 if there is no such name. */
int vq_isa_choose(const char *name);

vq_isa vq_isa_now(void);
const char *vq_isa_name(vq_isa isa);

#endif
