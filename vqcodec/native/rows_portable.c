#define VQ_TARGET
#define VQ_TABLE vq_rows_portable
#include "rows_body.h"
