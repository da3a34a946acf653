/* Classes whose symbols are certain, and therefore not coded (FORMAT.md, "Certain symbols"). */
#ifndef VQ_CERTAIN_H
#define VQ_CERTAIN_H

#include "tables.h"

#define VQ_CERTAIN_BITS 13 /* all other codewords together weigh at most 2**-13 of the likeliest */

typedef struct {
    int32_t class_, position;
} vq_place;

/* The positions of each group that are open: those whose symbols are not certain. */
typedef struct {
    int groups, count, classes;
    size_t room;     /* from a group to the next */
    int32_t *sizes;  /* (groups,) how many there are */
    vq_place *places; /* (groups, room) */
} vq_open;

/* For arrays (count, groups); 0, or -1 where memory is short. */
int vq_open_start(vq_open *open, int groups, int count, int classes);
void vq_open_free(vq_open *open);

/* All positions of these classes, `step` numbers from one to the next; -1 if a class is out of range. */
int vq_open_all(vq_open *open, const int32_t *of, size_t step);
/* Those that are open by tables of as many groups and classes. The codewords of the others are written to `symbols`
   (count, groups), and 0 for those that are open, unless it is null; -1 if a class is out of range. */
int vq_open_find(vq_open *open, vq_tables *tables, const int32_t *of, size_t step, int32_t *symbols);

/* The codeword that symbols of a class are certain to be, or -1; found once, from any thread. */
int32_t vq_certain_make(vq_tables *tables, int group, int class_);
static inline int32_t vq_certain_word(vq_tables *tables, int group, int class_)
{
    size_t place = (size_t)group * (size_t)tables->classes + (size_t)class_;
    int32_t known = atomic_load_explicit(&tables->certain[place], memory_order_relaxed);
    if (known == 0)
        known = vq_certain_make(tables, group, class_);
    return known < 0 ? -1 : known - 1;
}

#endif
