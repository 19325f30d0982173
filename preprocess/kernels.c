/* The two resizes of the recipes, for the pixels that the crop keeps. preprocess/resize.py and preprocess/linear.py
   define what they compute; a library that computes something else is not used.

   All frames are RGB, one byte per channel. A crop is `size` x `size`; tables have `padded` entries along the width,
   which is `size` rounded up to even. The result has the channels apart: [3][size][size]. */
#include <stdint.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

enum { BITS = 22, HALF = 1 << (BITS - 1) };

/* One row of the horizontal pass: 4 bytes per pixel of the result, the fourth of which means nothing. Weights are in
   the order [padded / 2][taps][2 pixels][4 channels]. Reads one byte behind the last pixel. */
static void across(const uint8_t *row, int padded, const int32_t *from, const int32_t *weights, int taps, uint8_t *to)
{
    for (int x = 0; x < padded; x += 2, weights += 8 * taps, to += 8) {
        const uint8_t *one = row + 3 * from[x], *two = row + 3 * from[x + 1];
#ifdef __AVX2__
        __m256i sum = _mm256_set1_epi32(HALF);
        for (int t = 0; t < taps; t++) {
            int32_t left, right;
            memcpy(&left, one + 3 * t, 4);
            memcpy(&right, two + 3 * t, 4);
            __m256i pixels = _mm256_cvtepu8_epi32(_mm_insert_epi32(_mm_cvtsi32_si128(left), right, 1));
            __m256i weight = _mm256_loadu_si256((const __m256i *)(weights + 8 * t));
            sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(pixels, weight));
        }
        sum = _mm256_srli_epi32(sum, BITS);
        sum = _mm256_packus_epi32(sum, sum);
        sum = _mm256_packus_epi16(sum, sum);
        int32_t both[2] = {_mm256_extract_epi32(sum, 0), _mm256_extract_epi32(sum, 4)};
        memcpy(to, both, 8);
#else
        int32_t a = HALF, b = HALF, c = HALF, d = HALF, e = HALF, f = HALF;
        for (int t = 0; t < taps; t++) {
            int32_t left = weights[8 * t], right = weights[8 * t + 4];
            a += one[3 * t] * left;
            b += one[3 * t + 1] * left;
            c += one[3 * t + 2] * left;
            d += two[3 * t] * right;
            e += two[3 * t + 1] * right;
            f += two[3 * t + 2] * right;
        }
        uint8_t both[8] = {a >> BITS, b >> BITS, c >> BITS, 0, d >> BITS, e >> BITS, f >> BITS, 0};
        memcpy(to, both, 8);
#endif
    }
}

/* Pillow's antialiased bilinear: horizontal pass, bytes, vertical pass. `scratch` has room for the rows between the
   passes, one row of the frame and 4 bytes, and one row of sums. */
void pil_bilinear(const uint8_t *frame, int64_t stride, int width, int height, int size, int padded,
                  const int32_t *from_x, const int32_t *weights_x, int taps_x,
                  const int32_t *from_y, const int32_t *weights_y, int taps_y, uint8_t *scratch, uint8_t *result)
{
    int first = from_y[0], rows = from_y[size - 1] + taps_y - first, line = 4 * padded;
    int32_t *sums = (int32_t *)scratch;
    uint8_t *between = scratch + 4 * line, *spare = between + (int64_t)rows * line;
    for (int r = 0; r < rows; r++) {
        const uint8_t *row = frame + (first + r) * stride;
        if (first + r == height - 1) {
            memcpy(spare, row, 3 * (size_t)width);
            row = spare;
        }
        across(row, padded, from_x, weights_x, taps_x, between + (int64_t)r * line);
    }
    for (int y = 0; y < size; y++) {
        const uint8_t *top = between + (int64_t)(from_y[y] - first) * line;
        for (int i = 0; i < line; i++) sums[i] = HALF;
        for (int t = 0; t < taps_y; t++, top += line) {
            int32_t weight = weights_y[y * taps_y + t];
            if (weight)
                for (int i = 0; i < line; i++) sums[i] += top[i] * weight;
        }
        for (int c = 0; c < 3; c++)
            for (int x = 0; x < size; x++) result[((int64_t)c * size + y) * size + x] = sums[4 * x + c] >> BITS;
    }
}

/* OpenCV's bilinear: horizontal sums in 1/2048, of which a vertical weight takes four bits less. Two taps each way;
   tables in the order [2][size]. `scratch` has room for two rows of sums, 6 * size of them. */
void cv2_linear(const uint8_t *frame, int64_t stride, int size, const int32_t *from_x, const int32_t *weights_x,
                const int32_t *from_y, const int32_t *weights_y, int16_t *scratch, uint8_t *result)
{
    int held[2] = {-1, -1};
    int line = 3 * size;
    for (int y = 0; y < size; y++) {
        int16_t *sums[2];
        for (int k = 0; k < 2; k++) {
            int wanted = from_y[k * size + y];
            int slot = wanted & 1;
            sums[k] = scratch + slot * line;
            if (held[slot] == wanted) continue;
            held[slot] = wanted;
            const uint8_t *row = frame + wanted * stride;
            for (int x = 0; x < size; x++) {
                const uint8_t *left = row + 3 * from_x[x], *right = row + 3 * from_x[size + x];
                int32_t a = weights_x[x], b = weights_x[size + x];
                for (int c = 0; c < 3; c++) sums[k][c * size + x] = (left[c] * a + right[c] * b) >> 4;
            }
        }
        int32_t above = weights_y[y], below = weights_y[size + y];
        for (int c = 0; c < 3; c++) {
            uint8_t *to = result + ((int64_t)c * size + y) * size;
            for (int x = 0; x < size; x++) {
                int32_t upper = (above * sums[0][c * size + x]) >> 16, lower = (below * sums[1][c * size + x]) >> 16;
                to[x] = (upper + lower + 2) >> 2;
            }
        }
    }
}
