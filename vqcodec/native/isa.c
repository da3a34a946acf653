#ifdef __linux__
#define _DEFAULT_SOURCE /* syscall() */
#endif
#include "isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifdef VQ_X86
#include <cpuid.h>
#endif
#if defined(VQ_ARM) && defined(__linux__)
#include <sys/auxv.h>
#endif
#ifdef VQ_X86_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif

static const char *const names[VQ_ISAS] = {"portable", "neon", "avx2", "avxvnni", "avx512vnni", "amx"};
static int available[VQ_ISAS] = {1};
static atomic_int chosen = VQ_PORTABLE;

#ifdef VQ_X86_AMX
/* The registers for tiles are large: Linux wants to be asked before a process uses them. */
static int tiles_allowed(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    unsigned a = 0, b = 0, c = 0, d = 0;
    const unsigned tile_and_int8 = 3u << 24;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & tile_and_int8) == tile_and_int8 &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#endif

#ifdef VQ_ARM
static int byte_products(void)
{
#if defined(__APPLE__)
    return 1;
#elif defined(__linux__)
    enum { HWCAP_BYTE_PRODUCTS = 1 << 20 /* ASIMDDP */ };
    return !!(getauxval(AT_HWCAP) & HWCAP_BYTE_PRODUCTS);
#else
    return 0;
#endif
}
#endif

static void detect(void)
{
#ifdef VQ_ARM
    available[VQ_NEON] = byte_products();
#endif
#ifdef VQ_X86
    /* These ask the operating system too, whether it saves the wide registers. */
    __builtin_cpu_init();
    available[VQ_AVX2] = !!__builtin_cpu_supports("avx2");
#ifdef VQ_X86_AVXVNNI
    /* By its bit: not every compiler that knows the instructions knows the name here. */
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (available[VQ_AVX2] && __get_cpuid_count(7, 1, &a, &b, &c, &d))
        available[VQ_AVXVNNI] = (a >> 4) & 1;
#endif
    available[VQ_AVX512VNNI] = available[VQ_AVX2] && __builtin_cpu_supports("avx512f") &&
                               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#ifdef VQ_X86_AMX
    available[VQ_AMX] = available[VQ_AVX512VNNI] && tiles_allowed();
#endif
#endif
}

int vq_isa_choose(const char *name)
{
    for (int isa = 0; isa < VQ_ISAS; isa++) {
        if (strcmp(name, names[isa]) == 0) {
            while (!available[isa])
                isa--;
            atomic_store(&chosen, isa);
            return 0;
        }
    }
    return -1;
}

int vq_isa_start(void)
{
    detect();
    const char *wanted = getenv("VQCODEC_ISA");
    return vq_isa_choose(wanted && *wanted ? wanted : names[VQ_ISAS - 1]);
}

vq_isa vq_isa_now(void)
{
    return (vq_isa)atomic_load_explicit(&chosen, memory_order_relaxed);
}

const char *vq_isa_name(vq_isa isa)
{
    return names[isa];
}
