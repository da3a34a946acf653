/* The part of rows_body.h that works on pixels. */

enum { LAP = 16, STRIP = 64 };

VQ_TARGET static void lap_down(const float *restrict in, size_t stride, size_t count,
                               const float *restrict matrix, float *restrict out)
{
    for (size_t first = 0; first < count; first += STRIP) {
        const size_t n = count - first < STRIP ? count - first : STRIP;
        for (int i = 0; i < LAP; i++) {
            const float *from = in + first;
            float sum[STRIP];
            for (size_t x = 0; x < n; x++)
                sum[x] = matrix[i * LAP] * from[x];
            for (int k = 1; k < LAP; k++) {
                from += stride;
                for (size_t x = 0; x < n; x++)
                    sum[x] += matrix[i * LAP + k] * from[x];
            }
            memcpy(out + i * stride + first, sum, n * sizeof *sum);
        }
    }
}

VQ_TARGET static void lap_along(float *restrict row, int channels, const float *restrict by_column)
{
    for (int c = 0; c < channels; c++) {
        float sum[LAP];
        for (int i = 0; i < LAP; i++)
            sum[i] = by_column[i] * row[c];
        for (int k = 1; k < LAP; k++)
            for (int i = 0; i < LAP; i++)
                sum[i] += by_column[k * LAP + i] * row[k * channels + c];
        for (int i = 0; i < LAP; i++)
            row[i * channels + c] = sum[i];
    }
}

/* log2 of a positive number, within .001: its exponent, and a polynomial of its mantissa. */
VQ_TARGET VQ_INLINE float log2_of(float v)
{
    int32_t bits, mantissa;
    memcpy(&bits, &v, sizeof bits);
    mantissa = (bits & 0x7FFFFF) | 0x3F800000;
    float m;
    memcpy(&m, &mantissa, sizeof m);
    m -= 1.0f;
    return ((m * 0.15922014f + -0.58208549f) * m + 1.4228654f) * m + (float)((bits >> 23) - 127);
}

VQ_TARGET static void differences(const float *restrict row, const float *restrict below, int count,
                                  float *restrict out)
{
    float *restrict down = out + count, *restrict both = down + count;
    for (int i = 0; i < count - 3; i++)
        out[i] = __builtin_fabsf(row[i + 3] - row[i]);
    for (int i = count - 3; i < count; i++)
        out[i] = 0;
    for (int i = 0; i < count; i++) {
        down[i] = __builtin_fabsf(below[i] - row[i]);
        both[i] = __builtin_fabsf(out[i] - down[i]);
    }
}

VQ_TARGET static void cells(const float *top, const float *bottom, const float *below, int width, float *scratch,
                            int16_t *restrict out)
{
    const int count = 3 * width, half = count / 2;
    float *first = scratch, *second = scratch + 3 * count, *mean = scratch + 6 * count;
    differences(top, bottom, count, first);
    differences(bottom, below, count, second);
    for (int kind = 0; kind < 3; kind++, first += count, second += count)
        for (int x = 0; x < width / 2; x++)
            for (int c = 0; c < 3; c++) {
                const int i = 6 * x + c;
                mean[9 * x + 3 * kind + c] = (first[i] + first[i + 3]) + (second[i] + second[i + 3]);
            }
    for (int i = 0; i < 3 * half; i++) {
        const float scaled = log2_of(mean[i] * 0.25f + 1.0f / 512) * 256.0f;
        mean[i] = (float)nearest(scaled) + 1293.0f;
    }
    for (int x = 0; x < width / 2; x++, out += 24) {
        for (int i = 0; i < 9; i++)
            out[i] = (int16_t)clamped(mean[9 * x + i], -32767, 32767);
        for (int c = 0; c < 3; c++)
            for (int j = 0; j < 2; j++) {
                const int i = 3 * (2 * x + j) + c;
                out[9 + 4 * c + j] = (int16_t)clamped(top[i] * 8192.0f, -32767, 32767);
                out[9 + 4 * c + 2 + j] = (int16_t)clamped(bottom[i] * 8192.0f, -32767, 32767);
            }
        out[21] = out[22] = out[23] = 0;
    }
}

VQ_TARGET static void mend(const float *restrict u, const float *restrict f, const int32_t *restrict answers,
                           int width, int kernels, const float *restrict colour, float *restrict change,
                           uint8_t *restrict out)
{
    const int half = width / 2, each = vq_answers(kernels), gates = 12 + 12 * kernels;
    for (int x = 0; x < half; x++, f += gates)
        for (int c = 0; c < 3; c++) {
            const int32_t *answer = answers + ((size_t)c * half + x) * each;
            float sum[4];
            for (int i = 0; i < 4; i++)
                sum[i] = f[4 * c + i];
            for (int k = 0; k < kernels; k++)
                for (int i = 0; i < 4; i++)
                    sum[i] += f[12 + 12 * k + 4 * c + i] * (float)answer[4 * k + i];
            for (int i = 0; i < 4; i++)
                change[(size_t)(3 * (i / 2) + c) * width + 2 * x + i % 2] = sum[i];
        }
    for (int y = 0; y < 2; y++, u += 3 * width, out += 3 * width, change += 3 * width)
        for (int x = 0; x < width; x++) {
            float v[3];
            for (int c = 0; c < 3; c++)
                v[c] = u[3 * x + c] + change[(size_t)c * width + x];
            for (int j = 0; j < 3; j++) {
                const float value = (v[0] * colour[j] + v[1] * colour[3 + j]) + v[2] * colour[6 + j];
                out[3 * x + j] = (uint8_t)clamped((value + 0.5f) * 255.0f, 0, 255);
            }
        }
}
