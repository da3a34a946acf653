#include "range_coder.h"

#include <stdlib.h>

static void put(vq_coder *coder, uint32_t word)
{
    if (coder->result != VQ_OK)
        return;
    if (coder->reading) {
        if (coder->count == coder->room || coder->words[coder->count] != word)
            coder->result = VQ_CORRUPT;
        else
            coder->count++;
        return;
    }
    if (coder->count == coder->room) {
        size_t room = coder->room ? 2 * coder->room : 256;
        uint32_t *words = realloc(coder->words, room * sizeof *words);
        if (words == NULL) {
            coder->result = VQ_NO_MEMORY;
            return;
        }
        coder->words = words;
        coder->room = room;
    }
    coder->words[coder->count++] = word;
}

void vq_coder_release(vq_coder *coder, uint64_t x)
{
    int carry = x < coder->low;
    put(coder, coder->first + (uint32_t)carry);
    while (--coder->held > 0)
        put(coder, carry ? 0 : UINT32_MAX);
}

static uint32_t next_word(vq_coder *coder)
{
    return coder->next < coder->room ? coder->words[coder->next++] : 0;
}

void vq_coder_shift(vq_coder *coder)
{
    uint32_t word = (uint32_t)(coder->low >> 32);
    coder->low <<= 32;
    coder->range <<= 32;
    if (coder->held > 0) {
        coder->held++;
    } else if (coder->low + coder->range > coder->low) {
        put(coder, word);
    } else {
        coder->held = 1;
        coder->first = word;
    }
    if (coder->reading)
        coder->point = coder->point << 32 | next_word(coder);
}

void vq_coder_write(vq_coder *coder)
{
    *coder = (vq_coder){.range = UINT64_MAX};
}

void vq_coder_read(vq_coder *coder, uint32_t *words, size_t count)
{
    *coder = (vq_coder){.range = UINT64_MAX, .reading = 1, .words = words, .room = count};
    coder->point = (uint64_t)next_word(coder) << 32;
    coder->point |= next_word(coder);
}

void vq_coder_free(vq_coder *coder)
{
    free(coder->words);
    coder->words = NULL;
}

vq_result vq_coder_end(vq_coder *coder)
{
    /* No symbol leaves the range as wide as it was. */
    if (coder->range != UINT64_MAX) {
        uint64_t point = coder->low + UINT32_MAX;
        if (coder->held > 0)
            vq_coder_release(coder, point);
        put(coder, (uint32_t)(point >> 32));
        if ((coder->low + coder->range) >> 32 == point >> 32)
            put(coder, 0);
    }
    if (coder->result == VQ_OK && coder->reading && coder->count != coder->room)
        coder->result = VQ_CORRUPT;
    return coder->result;
}
