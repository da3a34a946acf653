/* The encoder's choices: the codeword of least cost at each position, and the class offsets of a band. */
#ifndef VQ_SEARCH_H
#define VQ_SEARCH_H

#include <stddef.h>

#include "tables.h"

enum { VQ_LANES = 16, VQ_MOST_SIZE = 8 }; /* codewords are padded to a multiple; channels of a group */

/* cost = ((r_0 a_0k + r_1 a_1k) + ...) + (norm_k + step code_k), float32, each operation rounded; first minimum. */
typedef struct {
    vq_tables *tables;
    const float *factors, *norms; /* a (groups, size, padded words), (groups, padded words) */
    int size, padded;
    const float *residual;        /* (count, channels of a slice), channel j * groups + g of the band */
    const int32_t *classes;       /* (count, groups of a slice) */
    size_t residual_step, class_step;
    int count;
    int certain;    /* whether codewords that are certain are taken without a search */
    int32_t *index; /* (count, groups) */
} vq_search;

/* 0; -1 where memory is short, -2 where a class is out of range. */
int vq_search_run(const vq_search *search, int threads);

/* Class offsets (groups,) by what indices would cost after each; all in units of vq_price. What is certain costs
   nothing, whatever the offset. */
typedef struct {
    vq_tables *tables;
    const int32_t *index, *classes; /* (count, groups) */
    int count;
    const int32_t *moved; /* (offsets, classes) */
    const int64_t *own;   /* (offsets,) what they cost themselves */
    int offsets, zero, numbers, shape[VQ_NUMBERS];
} vq_offset_search;

/* 0; -1 where memory is short, -2 where a class or index is out of range. */
int vq_offsets_run(const vq_offset_search *search, int threads, int32_t *chosen);

#endif
