#include "certain.h"

#include <stdlib.h>
#include <string.h>

int vq_open_start(vq_open *open, int groups, int count, int classes)
{
    /* A few numbers more than needed: groups at a power of 2 from each other share lines of the cache. */
    *open = (vq_open){.groups = groups, .count = count, .classes = classes, .room = (size_t)count + 24};
    open->sizes = malloc((size_t)groups * sizeof *open->sizes);
    open->class_of = malloc((size_t)groups * open->room * sizeof *open->class_of);
    open->positions = malloc((size_t)groups * open->room * sizeof *open->positions);
    if (open->sizes != NULL && open->class_of != NULL && open->positions != NULL)
        return 0;
    vq_open_free(open);
    return -1;
}

void vq_open_free(vq_open *open)
{
    free(open->sizes);
    free(open->class_of);
    free(open->positions);
}

int32_t vq_certain_word(vq_tables *tables, int group, int class_)
{
    _Atomic int32_t *place = &tables->certain[(size_t)group * (size_t)tables->classes + (size_t)class_];
    int32_t known = atomic_load_explicit(place, memory_order_relaxed);
    if (known == 0) {
        uint8_t codes[VQ_WORDS];
        uint64_t most = (uint64_t)tables->powers[0] + (tables->powers[0] >> VQ_CERTAIN_BITS), sum = 0;
        int likely = 0;
        vq_tables_codes(tables, group, class_, codes);
        for (int k = 0; k < tables->words && sum <= most; k++) {
            sum += tables->powers[codes[k]];
            likely = codes[k] == 0 ? k : likely;
        }
        known = sum > most ? -1 : 1 + likely;
        atomic_store_explicit(place, known, memory_order_relaxed); /* any thread finds the same */
    }
    return known < 0 ? -1 : known - 1;
}

/* A position is written down in any case, and kept if it is open: no branch to guess wrong. */
static inline void append(vq_open *open, int group, int32_t class_, int32_t position, int is_open)
{
    int32_t *size = &open->sizes[group];
    size_t place = (size_t)group * open->room + (size_t)*size;
    open->class_of[place] = class_;
    open->positions[place] = position;
    *size += is_open;
}

int vq_open_all(vq_open *open, const int32_t *of, size_t step)
{
    memset(open->sizes, 0, (size_t)open->groups * sizeof *open->sizes);
    for (int32_t i = 0; i < open->count; i++)
        for (int g = 0; g < open->groups; g++) {
            int32_t class_ = of[(size_t)i * step + (size_t)g];
            if (class_ < 0 || class_ >= open->classes)
                return -1;
            append(open, g, class_, i, 1);
        }
    return 0;
}

int vq_open_find(vq_open *open, vq_tables *tables, const int32_t *of, size_t step, int32_t *symbols)
{
    memset(open->sizes, 0, (size_t)open->groups * sizeof *open->sizes);
    for (int32_t i = 0; i < open->count; i++)
        for (int g = 0; g < open->groups; g++) {
            int32_t class_ = of[(size_t)i * step + (size_t)g];
            if (class_ < 0 || class_ >= open->classes)
                return -1;
            int32_t word = vq_certain_word(tables, g, class_);
            append(open, g, class_, i, word < 0);
            if (symbols != NULL)
                symbols[(size_t)i * (size_t)open->groups + (size_t)g] = word < 0 ? 0 : word;
        }
    return 0;
}
