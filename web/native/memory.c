/* Memory for the module. A window of a picture takes tens of megabytes at a time, in a few blocks of many sizes: they
   come from the lowest place that fits and grow together again, which keeps what a page needs small. Blocks below 64
   KiB, which live long, have chunks of their own and do not break up the place of large ones. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LINE = 64, PAGE = 65536, SMALL = 65536, CHUNK = 1 << 20, GRAIN = 16 };

typedef struct vq_free {
    size_t size; /* bytes, with this header */
    struct vq_free *next;
} vq_free;

typedef struct {
    vq_free *first; /* by address */
    size_t grain;   /* sizes are multiples, and headers take so much */
} vq_heap;

extern unsigned char __heap_base;
static vq_heap large = {NULL, LINE}, small = {NULL, GRAIN};
static uintptr_t top;

/* Put a block back, together with its neighbours. */
static void give(vq_heap *heap, vq_free *block)
{
    vq_free *before = NULL, *after = heap->first;
    while (after != NULL && after < block) {
        before = after;
        after = after->next;
    }
    block->next = after;
    if (after != NULL && (char *)block + block->size == (char *)after) {
        block->size += after->size;
        block->next = after->next;
    }
    if (before == NULL) {
        heap->first = block;
    } else if ((char *)before + before->size == (char *)block) {
        before->size += block->size;
        before->next = block->next;
    } else {
        before->next = block;
    }
}

static vq_free *take(vq_heap *heap, size_t size)
{
    for (vq_free **place = &heap->first; *place != NULL; place = &(*place)->next) {
        vq_free *block = *place;
        if (block->size < size)
            continue;
        if (block->size - size >= 4 * heap->grain) {
            vq_free *rest = (vq_free *)((char *)block + size);
            rest->size = block->size - size;
            rest->next = block->next;
            *place = rest;
            block->size = size;
        } else {
            *place = block->next;
        }
        return block;
    }
    return NULL;
}

/* More memory from the system for the large heap; -1 where there is none. */
static int grow(size_t size)
{
    if (top == 0) {
        const uintptr_t start = ((uintptr_t)&__heap_base + LINE - 1) / LINE * LINE;
        top = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE;
        if (top - start >= 4 * LINE) {
            vq_free *block = (vq_free *)start;
            block->size = top - start;
            give(&large, block);
        }
    }
    const size_t pages = (size + PAGE - 1) / PAGE;
    if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX)
        return -1;
    vq_free *block = (vq_free *)top;
    block->size = pages * PAGE;
    top += block->size;
    give(&large, block);
    return 0;
}

static vq_free *take_large(size_t size)
{
    vq_free *block = take(&large, size);
    while (block == NULL && grow(size) == 0)
        block = take(&large, size);
    return block;
}

static void *from(vq_heap *heap, size_t bytes)
{
    if (bytes > PTRDIFF_MAX / 2)
        return NULL;
    const size_t size = (bytes + 2 * heap->grain - 1) / heap->grain * heap->grain;
    vq_free *block = heap == &large ? take_large(size) : take(&small, size);
    if (block == NULL && heap == &small) {
        vq_free *chunk = take_large(CHUNK);
        if (chunk != NULL) {
            give(&small, chunk);
            block = take(&small, size);
        }
    }
    if (block == NULL)
        return NULL;
    char *memory = (char *)block + heap->grain;
    *((vq_heap **)memory - 1) = heap; /* behind what vq_free has of the header */
    return memory;
}

void *malloc(size_t bytes)
{
    return from(bytes < SMALL ? &small : &large, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return alignment <= LINE ? from(&large, bytes) : NULL;
}

static vq_heap *heap_of(const void *memory)
{
    return *((vq_heap *const *)memory - 1);
}

static vq_free *block_of(void *memory)
{
    return (vq_free *)((char *)memory - heap_of(memory)->grain);
}

void free(void *memory)
{
    if (memory != NULL)
        give(heap_of(memory), block_of(memory));
}

void *calloc(size_t count, size_t bytes)
{
    if (bytes != 0 && count > PTRDIFF_MAX / bytes)
        return NULL;
    void *memory = malloc(count * bytes);
    return memory != NULL ? memset(memory, 0, count * bytes) : NULL;
}

void *realloc(void *memory, size_t bytes)
{
    void *other = malloc(bytes);
    if (memory == NULL || other == NULL)
        return other;
    const size_t room = block_of(memory)->size - heap_of(memory)->grain;
    memcpy(other, memory, room < bytes ? room : bytes);
    free(memory);
    return other;
}
