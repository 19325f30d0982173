/* The two resizes of the recipes, for the pixels that the crop keeps. preprocess/resize.py and preprocess/linear.py
   define what they compute; a library that computes something else is not used.

   All frames are RGB, one byte per channel. A crop is `size` x `size`, its result has the channels apart:
   [3][size][size]. */
#include <stdint.h>
#include <string.h>

/* BLOCK neighbouring pixels are in one vector. SLACK bytes may be read behind the pixels that are meant. */
enum { BITS = 22, HALF = 1 << (BITS - 1), LOW = 11, BLOCK = 5, SLACK = 32 };

#ifdef __AVX2__
#include <immintrin.h>

int kernels_vectors(void) { return 1; }

/* The sums of two pixels, one per half of the vector, channels in 32 bits each. A weight of 22 bits is split into 11 and
   11, so that products with bytes can be added in pairs of 16 bits; `weights` has, per block and pair of neighbours, the
   upper and the lower parts for both pixels. */
static inline __m256i two_sums(const uint8_t *one, const uint8_t *two, const int16_t *weights, int blocks)
{
    const __m256i pairs[3] = {
        _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
                         0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1),
        _mm256_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
                         6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1),
        _mm256_setr_epi8(12, -1, -1, -1, 13, -1, -1, -1, 14, -1, -1, -1, -1, -1, -1, -1,
                         12, -1, -1, -1, 13, -1, -1, -1, 14, -1, -1, -1, -1, -1, -1, -1)};
    __m256i upper = _mm256_setzero_si256(), lower = _mm256_set1_epi32(HALF);
    for (int b = 0; b < blocks; b++, one += 3 * BLOCK, two += 3 * BLOCK)
        for (int p = 0; p < 3; p++, weights += 32) {
            __m256i pixels = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)one)),
                                                     _mm_loadu_si128((const __m128i *)two), 1);
            pixels = _mm256_shuffle_epi8(pixels, pairs[p]);
            __m256i high = _mm256_loadu_si256((const __m256i *)weights);
            __m256i low = _mm256_loadu_si256((const __m256i *)(weights + 16));
            upper = _mm256_add_epi32(upper, _mm256_madd_epi16(pixels, high));
            lower = _mm256_add_epi32(lower, _mm256_madd_epi16(pixels, low));
        }
    return _mm256_srli_epi32(_mm256_add_epi32(_mm256_slli_epi32(upper, LOW), lower), BITS);
}

/* One row of the horizontal pass, four pixels of four bytes at a time; the fourth byte means nothing. The halves of the
   two vectors are pixels 0 and 2, and 1 and 3, which is the order in which the packing leaves them side by side. */
static inline void across(const uint8_t *row, int padded, const int32_t *from, const int16_t *weights, int blocks,
                          uint8_t *to)
{
    for (int x = 0; x < padded; x += 4, weights += 2 * 96 * blocks, to += 16) {
        const uint8_t *at[4] = {row + from[x], row + from[x + 1], row + from[x + 2], row + from[x + 3]};
        __m256i even = two_sums(at[0], at[2], weights, blocks);
        __m256i odd = two_sums(at[1], at[3], weights + 96 * blocks, blocks);
        __m256i bytes = _mm256_packus_epi32(even, odd);
        bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(bytes, bytes), 0x08);
        _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(bytes));
    }
}

/* One row of the vertical pass, eight pixels at a time, then the channels apart. `line` is the width in bytes. */
static inline void down(const uint8_t *top, int line, const int32_t *weights, int taps, int size, int64_t plane,
                        uint8_t *result)
{
    const __m256i apart = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
                                           0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int x = 0; x < size; x += 8) {
        const uint8_t *at = top + 4 * x;
        __m256i sums[4];
        for (int i = 0; i < 4; i++) sums[i] = _mm256_set1_epi32(HALF);
        for (int t = 0; t < taps; t++, at += line) {
            __m256i weight = _mm256_set1_epi32(weights[t]);
            for (int i = 0; i < 4; i++) {
                __m256i pixels = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(at + 8 * i)));
                sums[i] = _mm256_add_epi32(sums[i], _mm256_mullo_epi32(pixels, weight));
            }
        }
        for (int i = 0; i < 4; i++) sums[i] = _mm256_srli_epi32(sums[i], BITS);
        __m256i bytes = _mm256_packus_epi16(_mm256_packus_epi32(sums[0], sums[1]), _mm256_packus_epi32(sums[2], sums[3]));
        bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        bytes = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(bytes, apart), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        uint64_t channels[4];
        _mm256_storeu_si256((__m256i *)channels, bytes);
        for (int c = 0; c < 3; c++) memcpy(result + c * plane + x, &channels[c], size - x < 8 ? size - x : 8);
    }
}
#else
int kernels_vectors(void) { return 0; }

/* The same in plain code; `weights` are [padded][5 * blocks] of 32 bits. */
static inline void across(const uint8_t *row, int padded, const int32_t *from, const void *table, int blocks, uint8_t *to)
{
    const int32_t *weights = table;
    for (int x = 0; x < padded; x++, weights += BLOCK * blocks, to += 4) {
        const uint8_t *at = row + from[x];
        int32_t red = HALF, green = HALF, blue = HALF;
        for (int t = 0; t < BLOCK * blocks; t++) {
            red += at[3 * t] * weights[t];
            green += at[3 * t + 1] * weights[t];
            blue += at[3 * t + 2] * weights[t];
        }
        to[0] = red >> BITS;
        to[1] = green >> BITS;
        to[2] = blue >> BITS;
    }
}

static inline void down(const uint8_t *top, int line, const int32_t *weights, int taps, int size, int64_t plane,
                        uint8_t *result)
{
    for (int x = 0; x < size; x++)
        for (int c = 0; c < 3; c++) {
            int32_t sum = HALF;
            for (int t = 0; t < taps; t++) sum += top[t * line + 4 * x + c] * weights[t];
            result[c * plane + x] = sum >> BITS;
        }
}
#endif

/* Pillow's antialiased bilinear: horizontal pass, bytes, vertical pass. `from_x` are offsets in bytes; the tables of x
   have `padded` entries, a multiple of eight. `scratch` has room for the rows between the passes, and for one row of the
   frame and SLACK. */
void pil_bilinear(const uint8_t *frame, int64_t stride, int width, int height, int size, int padded,
                  const int32_t *from_x, const void *weights_x, int blocks_x,
                  const int32_t *from_y, const int32_t *weights_y, int taps_y, uint8_t *scratch, uint8_t *result)
{
    int first = from_y[0], rows = from_y[size - 1] + taps_y - first, line = 4 * padded;
    int64_t pixels = 3 * (int64_t)width, end = (height - 1) * stride + pixels;
    uint8_t *spare = scratch + (int64_t)rows * line;
    for (int r = 0; r < rows; r++) {
        int64_t start = (first + r) * stride;
        const uint8_t *row = frame + start;
        if (start + pixels + SLACK > end) row = memcpy(spare, row, pixels);
        across(row, padded, from_x, weights_x, blocks_x, scratch + (int64_t)r * line);
    }
    for (int y = 0; y < size; y++)
        down(scratch + (int64_t)(from_y[y] - first) * line, line, weights_y + (int64_t)y * taps_y, taps_y, size,
             (int64_t)size * size, result + (int64_t)y * size);
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
