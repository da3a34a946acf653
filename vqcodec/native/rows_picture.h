/* The part of rows_body.h that works on pixels: loops that vectorise are short, over colours one by one. */

enum { LAP = 16, COLOURS = 3, STEP = 64 };

typedef float vq_floats16 __attribute__((vector_size(64)));
typedef float vq_floats4 __attribute__((vector_size(16)));
typedef int32_t vq_sums4 __attribute__((vector_size(16)));

VQ_TARGET static void lap_down(float *rows, size_t stride, size_t count, const float *matrix)
{
    for (size_t x = 0; x < count; x += LAP) {
        vq_floats16 in[LAP];
        for (int k = 0; k < LAP; k++)
            memcpy(&in[k], rows + k * stride + x, sizeof in[k]);
        for (int i = 0; i < LAP; i++) {
            vq_floats16 sum = in[0] * matrix[i * LAP];
            for (int k = 1; k < LAP; k++)
                sum += in[k] * matrix[i * LAP + k];
            memcpy(rows + i * stride + x, &sum, sizeof sum);
        }
    }
}

VQ_TARGET static void lap_along(float *row, int channels, const float *by_column)
{
    for (int c = 0; c < channels; c++) {
        vq_floats16 sum, column;
        memcpy(&column, by_column, sizeof column);
        sum = column * row[c];
        for (int k = 1; k < LAP; k++) {
            memcpy(&column, by_column + k * LAP, sizeof column);
            sum += column * row[k * channels + c];
        }
        for (int i = 0; i < LAP; i++)
            row[i * channels + c] = sum[i];
    }
}

/* log2 of a positive number, within .001: its exponent, and a polynomial of its mantissa. */
VQ_TARGET VQ_INLINE float log2_of(float v)
{
    const int32_t bits = bits_of(v);
    const float m = float_of((bits & 0x7FFFFF) | 0x3F800000) - 1.0f;
    return ((m * 0.15922014f + -0.58208549f) * m + 1.4228654f) * m + (float)((bits >> 23) - 127);
}

VQ_TARGET static void one_colour(const float *restrict row, int width, float *restrict out)
{
    for (int x = 0; x < width; x++)
        out[x] = row[COLOURS * x];
}

/* Differences of neighbours in a row and with the row below: to the right, downwards, and of these two. */
VQ_TARGET static void differences(const float *restrict row, const float *restrict below, int width,
                                  float *restrict across, float *restrict down, float *restrict both)
{
    for (int x = 0; x < width - 1; x++)
        across[x] = __builtin_fabsf(row[x + 1] - row[x]);
    across[width - 1] = 0;
    for (int x = 0; x < width; x++)
        down[x] = __builtin_fabsf(below[x] - row[x]);
    for (int x = 0; x < width; x++)
        both[x] = __builtin_fabsf(across[x] - down[x]);
}

VQ_TARGET static void logarithms(const float *restrict top, const float *restrict bottom, int half,
                                 int16_t *restrict out)
{
    for (int x = 0; x < half; x++) {
        const float mean = ((top[2 * x] + top[2 * x + 1]) + (bottom[2 * x] + bottom[2 * x + 1])) * 0.25f;
        const float scaled = log2_of(mean + 1.0f / 512) * 256.0f;
        out[x] = (int16_t)signed_nearest((float)nearest(scaled) + 1293.0f, 32767);
    }
}

VQ_TARGET static void words(const float *restrict row, int width, int16_t *restrict out)
{
    for (int x = 0; x < width; x++)
        out[x] = (int16_t)signed_nearest(row[x] * 8192.0f, 32767);
}

VQ_TARGET static void cells(const float *top, const float *bottom, const float *below, int width,
                            float *scratch, int16_t *restrict out)
{
    const int half = width / 2;
    float *row[3] = {scratch, scratch + width, scratch + 2 * width};
    float *first = scratch + 3 * width, *second = scratch + 6 * width;
    int16_t *logs = (int16_t *)(scratch + 9 * width), *pixels = logs + 3 * half;
    for (int c = 0; c < COLOURS; c++) {
        one_colour(top + c, width, row[0]);
        one_colour(bottom + c, width, row[1]);
        one_colour(below + c, width, row[2]);
        differences(row[0], row[1], width, first, first + width, first + 2 * width);
        differences(row[1], row[2], width, second, second + width, second + 2 * width);
        for (int kind = 0; kind < 3; kind++)
            logarithms(first + kind * width, second + kind * width, half, logs + kind * half);
        words(row[0], width, pixels);
        words(row[1], width, pixels + width);
        int16_t *cell = out;
        for (int x = 0; x < half; x++, cell += 24) {
            for (int kind = 0; kind < 3; kind++)
                cell[3 * kind + c] = logs[kind * half + x];
            memcpy(cell + 9 + 4 * c, pixels + 2 * x, 2 * sizeof *cell);
            memcpy(cell + 11 + 4 * c, pixels + width + 2 * x, 2 * sizeof *cell);
        }
    }
    for (int x = 0; x < half; x++)
        memset(out + 24 * x + 21, 0, 3 * sizeof *out);
}

/* draw + sum over k of gate k * answer k for a row of cells: for each of its rows of pixels, colour after
 * colour. */
VQ_TARGET static void gated(const float *f, const int32_t *answers, int width, int kernels, float *change)
{
    const int half = width / 2, each = vq_answers(kernels);
    for (int x = 0; x < half; x++, f += 12 + 12 * kernels)
        for (int c = 0; c < COLOURS; c++) {
            const int32_t *answer = answers + ((size_t)c * half + x) * each;
            const float *gate = f + 4 * c;
            vq_floats4 sum, factor;
            vq_sums4 sums;
            memcpy(&sum, gate, sizeof sum);
            for (int k = 0; k < kernels; k++) {
                memcpy(&factor, gate + 12 + 12 * k, sizeof factor);
                memcpy(&sums, answer + 4 * k, sizeof sums);
                sum += factor * __builtin_convertvector(sums, vq_floats4);
            }
            float four[4];
            memcpy(four, &sum, sizeof four);
            memcpy(change + (size_t)c * width + 2 * x, four, 2 * sizeof *four);
            memcpy(change + (size_t)(COLOURS + c) * width + 2 * x, four + 2, 2 * sizeof *four);
        }
}

/* n pixels of one of red, green and blue. */
VQ_TARGET static void levels(float v[COLOURS][STEP], const float *colour, int n, uint8_t *restrict out)
{
    const float a = colour[0], b = colour[3], c = colour[6];
    for (int x = 0; x < n; x++) {
        const float value = (v[0][x] * a + v[1][x] * b) + v[2][x] * c;
        out[x] = (uint8_t)unsigned_nearest((value + 0.5f) * 255.0f, 255);
    }
}

VQ_TARGET static void mend(const float *u, const float *f, const int32_t *answers, int width, int kernels,
                           const float *colour, float *change, uint8_t *out)
{
    gated(f, answers, width, kernels, change);
    for (int y = 0; y < 2; y++, change += COLOURS * width)
        for (int first = 0; first < width; first += STEP) {
            const int n = width - first < STEP ? width - first : STEP;
            float v[COLOURS][STEP];
            uint8_t bytes[COLOURS][STEP];
            for (int c = 0; c < COLOURS; c++) {
                const float *restrict more = change + (size_t)c * width + first;
                for (int x = 0; x < n; x++)
                    v[c][x] = u[COLOURS * x + c] + more[x];
            }
            for (int j = 0; j < COLOURS; j++)
                levels(v, colour + j, n, bytes[j]);
            for (int x = 0; x < n; x++)
                for (int j = 0; j < COLOURS; j++)
                    out[COLOURS * x + j] = bytes[j][x];
            u += COLOURS * n;
            out += COLOURS * n;
        }
}
