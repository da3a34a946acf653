/* What the module shows to JavaScript: functions of numbers and addresses, whose callers have checked all sizes. */
#ifndef VQ_BINDING_H
#define VQ_BINDING_H

#define VQ_EXPORT(name) __attribute__((export_name(#name))) name

/* 0, or what went wrong: memory is short, words are no symbols', bounds of exact arithmetic are broken. */
enum { VQ_DONE, VQ_SHORT, VQ_DAMAGED, VQ_BOUNDS };

#endif
