#include "certain.h"

#include <stdlib.h>
#include <string.h>

int vq_open_start(vq_open *open, int groups, int count, int classes)
{
    /* A few numbers more than needed: groups at a power of 2 from each other share lines of the cache. */
    *open = (vq_open){.groups = groups, .count = count, .classes = classes, .room = (size_t)count + 24};
    open->sizes = malloc((size_t)groups * sizeof *open->sizes);
    open->places = malloc((size_t)groups * open->room * sizeof *open->places);
    if (open->sizes != NULL && open->places != NULL)
        return 0;
    vq_open_free(open);
    return -1;
}

void vq_open_free(vq_open *open)
{
    free(open->sizes);
    free(open->places);
}

int32_t vq_certain_make(vq_tables *tables, int group, int class_)
{
    uint8_t codes[VQ_WORDS];
    uint64_t most = (uint64_t)tables->powers[0] + (tables->powers[0] >> VQ_CERTAIN_BITS), sum = 0;
    int likely = 0;
    vq_tables_codes(tables, group, class_, codes);
    for (int k = 0; k < tables->words && sum <= most; k++) {
        sum += tables->powers[codes[k]];
        likely = codes[k] == 0 ? k : likely;
    }
    int32_t known = sum > most ? -1 : 1 + likely;
    size_t place = (size_t)group * (size_t)tables->classes + (size_t)class_;
    atomic_store_explicit(&tables->certain[place], known, memory_order_relaxed); /* any thread finds the same */
    return known;
}

int vq_open_all(vq_open *open, const int32_t *of, size_t step)
{
    for (int g = 0; g < open->groups; g++) {
        vq_place *places = open->places + (size_t)g * open->room;
        for (int32_t i = 0; i < open->count; i++) {
            int32_t class_ = of[(size_t)i * step + (size_t)g];
            if (class_ < 0 || class_ >= open->classes)
                return -1;
            places[i] = (vq_place){class_, i};
        }
        open->sizes[g] = open->count;
    }
    return 0;
}

int vq_open_find(vq_open *open, vq_tables *tables, const int32_t *of, size_t step, int32_t *symbols)
{
    const int groups = open->groups, classes = open->classes;
    const size_t room = open->room;
    int32_t *restrict sizes = open->sizes;
    vq_place *restrict places = open->places;
    memset(sizes, 0, (size_t)groups * sizeof *sizes);
    for (int32_t i = 0; i < open->count; i++, of += step) {
        vq_place *own = places;
        for (int g = 0; g < groups; g++, own += room) {
            int32_t class_ = of[g], size = sizes[g];
            if (class_ < 0 || class_ >= classes)
                return -1;
            int32_t word = vq_certain_word(tables, g, class_);
            /* Written down in any case, and kept if it is open: no branch to guess wrong. */
            own[size] = (vq_place){class_, i};
            sizes[g] = size + (word < 0);
            if (symbols != NULL)
                symbols[g] = word < 0 ? 0 : word;
        }
        symbols = symbols != NULL ? symbols + groups : NULL;
    }
    return 0;
}
