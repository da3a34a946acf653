/* Threads that share the parts of a task and sleep in between. */
#ifndef VQ_POOL_H
#define VQ_POOL_H

/* Calls task(context, part) for every part in 0..parts-1, on up to `threads` threads, this one included, and
   returns when all are done. Parts are taken in ascending order. A call while another thread's task has the
   pool runs here alone, and so does everything where there are no POSIX threads; a child made by fork starts
   a pool of its own. */
void vq_pool_run(int threads, int parts, void (*task)(void *context, int part), void *context);

#endif
