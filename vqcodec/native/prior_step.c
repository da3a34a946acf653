/* A slice of a pass: everything happens within a pixel, so that a few pixels at a time go all the way. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "prior.h"

enum { PIXELS = VQ_PLAN_PIXELS };

typedef struct {
    const vq_prediction *slice;
    vq_plan look, tell, leave;
    size_t room; /* bytes of the inputs of PIXELS pixels of any of the three */
    uint8_t *hidden;
    int32_t *mean, *classes;
    atomic_int result;
} step;

/* Room for inputs, with zeros where they do not fill the words of the products. */
static void clear(const vq_plan *plan, void *in, int pixels)
{
    if ((size_t)plan->layer->inputs * (plan->dot == VQ_DOT16 ? 2 : 1) < plan->pixel)
        memset(in, 0, (size_t)pixels * plan->pixel);
}

/* Let the hidden units of some pixels know what the slices before gave. */
static void update(const step *step, int first, int pixels, void *in, uint8_t *looked)
{
    const vq_prediction *slice = step->slice;
    const vq_plan *look = &step->look, *tell = &step->tell;
    uint8_t *hidden = step->hidden + (size_t)first * (size_t)tell->layer->outputs;
    int channel = 0;
    clear(look, in, pixels);
    for (int i = 0; i < slice->seen_count; channel += slice->seen_channels[i++])
        vq_fill(look->dot, in, look->pixel, channel, slice->seen_channels[i], 1,
                slice->seen[i] + (size_t)first * (size_t)slice->seen_channels[i], pixels);
    vq_fill(look->dot, in, look->pixel, channel, tell->layer->outputs, 0, hidden, pixels);
    vq_plan_all(look, in, pixels, VQ_BYTES, looked);
    clear(tell, in, pixels);
    vq_fill(tell->dot, in, tell->pixel, 0, tell->layer->inputs, 0, looked, pixels);
    vq_plan_all(tell, in, pixels, VQ_ADD_BYTES, hidden);
}

/* Mean and classes of a pixel from what the last layer gives. */
static void finish(const vq_prediction *slice, size_t pixel, const int32_t *out, int32_t *mean, int32_t *classes)
{
    int near = slice->local == NULL ? 0 : slice->local_width - slice->local_first;
    near = near < 0 ? 0 : near < slice->channels ? near : slice->channels;
    memcpy(mean, out, (size_t)slice->channels * sizeof *mean);
    for (int c = 0; c < near; c++)
        mean[c] += slice->local[pixel * (size_t)slice->local_width + (size_t)(slice->local_first + c)];
    out += slice->channels;
    memset(classes, 0, (size_t)slice->groups * sizeof *classes);
    for (int n = 0; n < slice->numbers; n++)
        for (int g = 0; g < slice->groups; g++, out++) {
            int32_t bins = slice->bins[n], number = *out < 0 ? 0 : *out < bins ? *out : bins - 1;
            classes[g] = classes[g] * bins + number;
        }
}

static void part(void *context, int number)
{
    step *step = context;
    const vq_prediction *slice = step->slice;
    const vq_plan *leave = &step->leave;
    int first = number * PIXELS, all = slice->height * slice->width, outputs = leave->layer->outputs;
    int pixels = all - first < PIXELS ? all - first : PIXELS;
    size_t looked = slice->look != NULL ? PIXELS * (size_t)slice->look->outputs : 0;
    int32_t *left = malloc(PIXELS * (size_t)outputs * sizeof *left + step->room + looked + 1);
    int result = left == NULL ? -1 : slice->settling != NULL ? vq_settle(slice->settling, first, pixels) : 0;
    if (result == 0) {
        uint8_t *in = (uint8_t *)(left + PIXELS * (size_t)outputs);
        if (slice->look != NULL)
            update(step, first, pixels, in, in + step->room);
        clear(leave, in, pixels);
        vq_fill(leave->dot, in, leave->pixel, 0, leave->layer->inputs, 0,
                step->hidden + (size_t)first * (size_t)leave->layer->inputs, pixels);
        vq_plan_all(leave, in, pixels, VQ_INTEGERS, left);
        for (int i = 0; i < pixels; i++)
            finish(slice, (size_t)(first + i), left + (size_t)i * (size_t)outputs,
                   step->mean + (size_t)(first + i) * (size_t)slice->channels,
                   step->classes + (size_t)(first + i) * (size_t)slice->groups);
    } else {
        step->result = result;
    }
    free(left);
}

int vq_prior_predict(const vq_prediction *slice, int level, int threads, uint8_t *hidden, int32_t *mean,
                     int32_t *classes)
{
    step step = {.slice = slice, .hidden = hidden, .mean = mean, .classes = classes};
    int failed = vq_plan_start(&step.leave, slice->leave, level) < 0;
    size_t pixel = step.leave.pixel;
    if (!failed && slice->look != NULL) {
        failed = vq_plan_start(&step.look, slice->look, level) < 0 || vq_plan_start(&step.tell, slice->tell, level) < 0;
        pixel = step.look.pixel > pixel ? step.look.pixel : pixel;
        pixel = step.tell.pixel > pixel ? step.tell.pixel : pixel;
    }
    step.room = PIXELS * pixel;
    if (!failed)
        vq_pool_run(threads, (slice->height * slice->width + PIXELS - 1) / PIXELS, part, &step);
    vq_plan_free(&step.look);
    vq_plan_free(&step.tell);
    vq_plan_free(&step.leave);
    return failed ? -1 : step.result;
}
