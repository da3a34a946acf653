#include "order.h"

#include <stdlib.h>
#include <string.h>

int vq_order_start(vq_order *order, int groups, int count, int classes)
{
    *order = (vq_order){.groups = groups, .count = count, .classes = classes, .step = (size_t)groups};
    order->ends = malloc(((size_t)classes + 1) * sizeof *order->ends);
    order->positions = malloc(((size_t)count + 1) * sizeof *order->positions);
    if (order->ends != NULL && order->positions != NULL)
        return 0;
    vq_order_free(order);
    return -1;
}

void vq_order_free(vq_order *order)
{
    free(order->ends);
    free(order->positions);
}

int vq_order_sort(vq_order *order, const int32_t *of, int group)
{
    int32_t *ends = order->ends, place = 0;
    memset(ends, 0, (size_t)order->classes * sizeof *ends);
    const int32_t *own = of + group;
    for (int i = 0; i < order->count; i++) {
        int32_t class_ = own[(size_t)i * order->step];
        if (class_ < 0 || class_ >= order->classes)
            return -1;
        ends[class_]++;
    }
    for (int c = 0; c < order->classes; c++) {
        int32_t size = ends[c];
        ends[c] = place;
        place += size;
    }
    for (int i = 0; i < order->count; i++)
        order->positions[ends[own[(size_t)i * order->step]]++] = i;
    return 0;
}
