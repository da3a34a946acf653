/* What conv.c and its variants for each instruction set share. */
#ifndef VQ_CONV_ISA_H
#define VQ_CONV_ISA_H

#include "conv.h"
#include "isa.h"

typedef struct {
    const void *const *rows;
    int kernel;
    int run;      /* words that one kernel row reads: kernel * groups, without gaps */
    size_t pixel; /* bytes from the inputs of one output pixel to those of the next */
    const char *packed;
    size_t block; /* bytes of the weights of 16 outputs */
    int width, outputs;
    int32_t *acc;
} vq_conv_call;

typedef void vq_conv_function(const vq_conv_call *call);

vq_conv_function vq_conv8_portable, vq_conv16_portable;
vq_conv_function vq_conv8_avx2, vq_conv16_avx2;
vq_conv_function vq_conv8_avxvnni, vq_conv16_avxvnni;
vq_conv_function vq_conv8_avx512vnni, vq_conv16_avx512vnni;
vq_conv_function vq_conv8_amx;
vq_conv_function vq_conv8_neon, vq_conv16_neon;
vq_conv_function vq_conv8_wasm, vq_conv16_wasm;

#endif
