#define _POSIX_C_SOURCE 200809L
#include "pool.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

enum { MOST = 256, SPIN_NS = 20000 };

typedef struct {
    int parts;
    void (*task)(void *context, int part);
    void *context;
} vq_job;

static struct {
    pthread_mutex_t owner; /* held by the thread whose job the workers share */
    pthread_mutex_t lock;  /* guards what follows */
    pthread_cond_t wake, done;
    int workers;
    int places;  /* workers that may still join the job */
    int working; /* workers that have joined it */
    vq_job job;
    atomic_int posted; /* number of the last job, for those that spin */
    atomic_int left;   /* as `working`, without the lock */
    atomic_int next;   /* first part that nobody has taken */
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

static void forget(void)
{
    /* After a fork there are no workers, and locks may be held by threads that no longer exist. */
    pthread_mutex_init(&pool.owner, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pthread_cond_init(&pool.done, NULL);
    pool.workers = pool.places = pool.working = 0;
    atomic_store(&pool.left, 0);
}

static void register_forget(void)
{
    pthread_atfork(NULL, NULL, forget);
}

static void work(const vq_job *job)
{
    for (int part; (part = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed)) < job->parts;)
        job->task(job->context, part);
}

/* Waits a moment for *value to differ from `old`: shorter than it takes to fall asleep and be woken. */
static void spin(atomic_int *value, int old)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (int i = 0; i < 16; i++) {
            if (atomic_load_explicit(value, memory_order_relaxed) != old)
                return;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000000000L + (now.tv_nsec - start.tv_nsec) < SPIN_NS);
}

static void *worker(void *unused)
{
    (void)unused;
    for (;;) {
        int seen = atomic_load(&pool.posted);
        pthread_mutex_lock(&pool.lock);
        if (!pool.places) {
            pthread_mutex_unlock(&pool.lock);
            spin(&pool.posted, seen);
            pthread_mutex_lock(&pool.lock);
        }
        while (!pool.places)
            pthread_cond_wait(&pool.wake, &pool.lock);
        pool.places--;
        pool.working++;
        atomic_fetch_add(&pool.left, 1);
        vq_job job = pool.job;
        pthread_mutex_unlock(&pool.lock);

        work(&job);

        pthread_mutex_lock(&pool.lock);
        pool.places = 0; /* nothing is left to join for */
        atomic_fetch_sub(&pool.left, 1);
        if (--pool.working == 0)
            pthread_cond_signal(&pool.done);
        pthread_mutex_unlock(&pool.lock);
    }
    return NULL;
}

/* Starts workers until there are `wanted`, as far as the system allows. They take no signals: those belong to
   the program. */
static void grow(int wanted)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.workers < wanted) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker, NULL) != 0)
            break;
        pthread_detach(thread);
        pool.workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void run_shared(int threads, vq_job job)
{
    pthread_mutex_lock(&pool.lock);
    grow(threads - 1);
    pool.job = job;
    pool.places = pool.workers < threads - 1 ? pool.workers : threads - 1;
    atomic_store(&pool.next, 0);
    atomic_fetch_add(&pool.posted, 1);
    for (int i = 0; i < pool.places; i++)
        pthread_cond_signal(&pool.wake);
    pthread_mutex_unlock(&pool.lock);

    work(&job);

    pthread_mutex_lock(&pool.lock);
    pool.places = 0; /* who wakes up now is too late */
    int working = pool.working;
    pthread_mutex_unlock(&pool.lock);
    if (working == 1)
        spin(&pool.left, 1);
    pthread_mutex_lock(&pool.lock);
    while (pool.working)
        pthread_cond_wait(&pool.done, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

void vq_pool_run(int threads, int parts, void (*task)(void *context, int part), void *context)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_forget);
    threads = threads < parts ? threads : parts;
    threads = threads < MOST ? threads : MOST;
    if (threads > 1 && pthread_mutex_trylock(&pool.owner) == 0) {
        run_shared(threads, (vq_job){parts, task, context});
        pthread_mutex_unlock(&pool.owner);
        return;
    }
    for (int part = 0; part < parts; part++)
        task(context, part);
}

#else

void vq_pool_run(int threads, int parts, void (*task)(void *context, int part), void *context)
{
    (void)threads;
    for (int part = 0; part < parts; part++)
        task(context, part);
}

#endif
