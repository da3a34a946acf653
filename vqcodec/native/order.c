#include "order.h"

#include <stdlib.h>

int vq_order_start(vq_order *order, int most, int classes)
{
    size_t room = (size_t)most < (size_t)classes ? (size_t)most : (size_t)classes;
    *order = (vq_order){.classes = classes, .runs = malloc((room + 1) * sizeof *order->runs)};
    order->positions = malloc(((size_t)most + 1) * sizeof *order->positions);
    order->ends = calloc((size_t)classes, sizeof *order->ends);
    order->used = calloc((size_t)classes / 64 + 1, sizeof *order->used);
    if (order->runs != NULL && order->positions != NULL && order->ends != NULL && order->used != NULL)
        return 0;
    vq_order_free(order);
    return -1;
}

void vq_order_free(vq_order *order)
{
    free(order->runs);
    free(order->positions);
    free(order->ends);
    free(order->used);
}

/* The lowest bit that is set. */
static int lowest(uint64_t bits)
{
    return __builtin_ctzll(bits);
}

int vq_order_sort(vq_order *order, const vq_open *open, int group, const int32_t *moves)
{
    const vq_place *places = open->places + (size_t)group * open->room;
    int32_t *ends = order->ends, place = 0;
    int count = open->sizes[group], failed = 0;
    for (int i = 0; i < count; i++) {
        int32_t class_ = moves != NULL ? moves[places[i].class_] : places[i].class_;
        if (class_ < 0 || class_ >= order->classes) {
            failed = -1;
            break;
        }
        ends[class_]++;
        order->used[class_ / 64] |= (uint64_t)1 << class_ % 64;
    }
    order->count = 0;
    for (int word = 0; word <= order->classes / 64; word++)
        for (; order->used[word] != 0; order->used[word] &= order->used[word] - 1) {
            int32_t class_ = word * 64 + lowest(order->used[word]), size = ends[class_];
            order->runs[order->count++] = (vq_run){class_, place, place + size};
            ends[class_] = place;
            place += size;
        }
    for (int i = 0; i < count && !failed; i++)
        order->positions[ends[moves != NULL ? moves[places[i].class_] : places[i].class_]++] = places[i].position;
    for (int i = 0; i < order->count; i++)
        ends[order->runs[i].class_] = 0;
    return failed;
}
