/* The resizes of the recipes, for the pixels that the crop keeps. preprocess/resize.py, linear.py and float_linear.py
   define what they compute; a library that computes something else is not used.

   All frames are RGB, one byte per channel. A crop is `size` wide and `height` high, its result has the channels
   apart: [3][height][size]. */
#include <stdint.h>
#include <string.h>

/* BLOCK neighbouring pixels are in one vector. SLACK bytes may be read behind the pixels that are meant. */
enum { BITS = 22, HALF = 1 << (BITS - 1), LOW = 11, BLOCK = 5, SLACK = 32 };

#ifdef __AVX2__
#include <immintrin.h>

/* A vector has the channels of PIXELS pixels in 32 bits each; the fourth channel of a pixel means nothing. */
#ifdef __AVX512BW__
enum { PIXELS = 4 };
typedef __m512i vec;
#define V(operation) _mm512_##operation
#define ZERO _mm512_setzero_si512()
#define LOAD(from) _mm512_loadu_si512((const void *)(from))
#define REPEAT(sixteen_bytes) _mm512_broadcast_i32x4(sixteen_bytes)
#else
enum { PIXELS = 2 };
typedef __m256i vec;
#define V(operation) _mm256_##operation
#define ZERO _mm256_setzero_si256()
#define LOAD(from) _mm256_loadu_si256((const __m256i *)(from))
#define REPEAT(sixteen_bytes) _mm256_broadcastsi128_si256(sixteen_bytes)
#endif

/* Vectors that a loop indexes stay in registers only where it is unrolled. */
#define UNROLLED _Pragma("GCC unroll 4")
#define INLINE static inline __attribute__((always_inline))

int kernels_vectors(void) { return PIXELS; }

static inline __m128i sixteen(const uint8_t *from) { return _mm_loadu_si128((const __m128i *)from); }

/* Sixteen bytes at each of `from`, `offset` bytes further on. */
static inline vec windows(const uint8_t *row, const int32_t *from, int offset)
{
    row += offset;
#ifdef __AVX512BW__
    vec two = _mm512_inserti32x4(_mm512_castsi128_si512(sixteen(row + from[0])), sixteen(row + from[1]), 1);
    return _mm512_inserti32x4(_mm512_inserti32x4(two, sixteen(row + from[2]), 2), sixteen(row + from[3]), 3);
#else
    return _mm256_inserti128_si256(_mm256_castsi128_si256(sixteen(row + from[0])), sixteen(row + from[1]), 1);
#endif
}

/* The sums of PIXELS pixels. A weight of 22 bits is split into 11 and 11, so that products with bytes can be added in
   pairs of 16 bits; `weights` has, per block and pair of neighbours, the upper and the lower parts for all pixels. */
INLINE vec sums(const uint8_t *row, const int32_t *from, const int16_t *weights, int blocks)
{
    const vec pairs[3] = {
        REPEAT(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1)),
        REPEAT(_mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1)),
        REPEAT(_mm_setr_epi8(12, -1, -1, -1, 13, -1, -1, -1, 14, -1, -1, -1, -1, -1, -1, -1))};
    vec upper = ZERO, lower = V(set1_epi32)(HALF);
    for (int b = 0; b < blocks; b++) {
        vec bytes = windows(row, from, 3 * BLOCK * b);
        for (int p = 0; p < 3; p++, weights += 16 * PIXELS) {
            vec pixels = V(shuffle_epi8)(bytes, pairs[p]);
            upper = V(add_epi32)(upper, V(madd_epi16)(pixels, LOAD(weights)));
            lower = V(add_epi32)(lower, V(madd_epi16)(pixels, LOAD(weights + 8 * PIXELS)));
        }
    }
    return V(srli_epi32)(V(add_epi32)(V(slli_epi32)(upper, LOW), lower), BITS);
}

/* Eight pixels of four bytes, from vectors of them in their order. */
static inline __m256i eight(const vec *sums)
{
#ifdef __AVX512BW__
    __m256i four = _mm256_castsi128_si256(_mm512_cvtepi32_epi8(sums[0]));
    return _mm256_inserti128_si256(four, _mm512_cvtepi32_epi8(sums[1]), 1);
#else
    __m256i bytes = _mm256_packus_epi16(_mm256_packus_epi32(sums[0], sums[1]), _mm256_packus_epi32(sums[2], sums[3]));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
#endif
}

/* One row of the horizontal pass, eight pixels of four bytes at a time. */
INLINE void row_of(const uint8_t *row, int padded, const int32_t *from, const int16_t *weights, int blocks, uint8_t *to)
{
    for (int x = 0; x < padded; x += 8, to += 32) {
        vec found[8 / PIXELS];
        UNROLLED for (int i = 0; i < 8 / PIXELS; i++, weights += 48 * PIXELS * blocks)
            found[i] = sums(row, from + x + i * PIXELS, weights, blocks);
        _mm256_storeu_si256((__m256i *)to, eight(found));
    }
}

static void across(const uint8_t *row, int padded, const int32_t *from, const int16_t *weights, int blocks, uint8_t *to)
{
    /* Most frames need one block; a loop of a known length keeps its sums in registers. */
    if (blocks == 1) row_of(row, padded, from, weights, 1, to);
    else row_of(row, padded, from, weights, blocks, to);
}

static inline vec widened(const uint8_t *from)
{
#ifdef __AVX512BW__
    return _mm512_cvtepu8_epi32(sixteen(from));
#else
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from));
#endif
}

/* One row of the vertical pass, eight pixels at a time, then the channels apart. `line` is the width in bytes. */
static inline void down(const uint8_t *top, int line, const int32_t *weights, int taps, int size, int64_t plane,
                        uint8_t *result)
{
    const __m128i channel = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m256i apart = _mm256_broadcastsi128_si256(channel);
    for (int x = 0; x < size; x += 8) {
        const uint8_t *at = top + 4 * x;
        vec found[8 / PIXELS];
        UNROLLED for (int i = 0; i < 8 / PIXELS; i++) found[i] = V(set1_epi32)(HALF);
        for (int t = 0; t < taps; t++, at += line) {
            vec weight = V(set1_epi32)(weights[t]);
            UNROLLED for (int i = 0; i < 8 / PIXELS; i++)
                found[i] = V(add_epi32)(found[i], V(mullo_epi32)(widened(at + 4 * PIXELS * i), weight));
        }
        UNROLLED for (int i = 0; i < 8 / PIXELS; i++) found[i] = V(srli_epi32)(found[i], BITS);
        __m256i bytes = _mm256_shuffle_epi8(eight(found), apart);
        bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        uint64_t channels[4];
        _mm256_storeu_si256((__m256i *)channels, bytes);
        for (int c = 0; c < 3; c++) {
            uint8_t *to = result + c * plane + x;
            /* A length that the compiler knows is a store, not a call. */
            if (size - x < 8) memcpy(to, &channels[c], size - x);
            else memcpy(to, &channels[c], 8);
        }
    }
}
#else
int kernels_vectors(void) { return 0; }

/* The same in plain code; `weights` are [padded][5 * blocks] of 32 bits. */
static void across(const uint8_t *row, int padded, const int32_t *from, const void *table, int blocks, uint8_t *to)
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

/* Of one size of frames and one crop. `from_x` are offsets in bytes; the tables of x have `padded` entries, a multiple
   of eight. */
struct bilinear {
    int32_t width, height, size, padded, blocks_x, taps_y, kept;
    const int32_t *from_x;
    const void *weights_x;
    const int32_t *from_y, *weights_y;
};

/* Pillow's antialiased bilinear: horizontal pass, bytes, vertical pass. `scratch` has room for the rows between the
   passes, and for one row of the frame and SLACK. */
void pil_bilinear(const struct bilinear *to, const uint8_t *frame, int64_t stride, uint8_t *scratch, uint8_t *result)
{
    int size = to->size, kept = to->kept, first = to->from_y[0], line = 4 * to->padded;
    int rows = to->from_y[kept - 1] + to->taps_y - first;
    int64_t pixels = 3 * (int64_t)to->width, end = (to->height - 1) * stride + pixels;
    uint8_t *spare = scratch + (int64_t)rows * line;
    for (int r = 0; r < rows; r++) {
        int64_t start = (first + r) * stride;
        const uint8_t *row = frame + start;
        if (start + pixels + SLACK > end) row = memcpy(spare, row, pixels);
        across(row, to->padded, to->from_x, to->weights_x, to->blocks_x, scratch + (int64_t)r * line);
    }
    for (int64_t y = 0; y < kept; y++)
        down(scratch + (int64_t)(to->from_y[y] - first) * line, line, to->weights_y + y * to->taps_y, to->taps_y, size,
             (int64_t)size * kept, result + y * size);
}

/* OpenCV's bilinear: horizontal sums in 1/2048, of which a vertical weight takes four bits less. Two taps each way;
   tables in the order [2][size] and [2][height]. `scratch` has room for two rows of sums, 6 * size of them. */
void cv2_linear(const uint8_t *frame, int64_t stride, int size, int height, const int32_t *from_x, const int32_t *weights_x,
                const int32_t *from_y, const int32_t *weights_y, int16_t *scratch, uint8_t *result)
{
    int held[2] = {-1, -1};
    int line = 3 * size;
    for (int y = 0; y < height; y++) {
        int16_t *sums[2];
        for (int k = 0; k < 2; k++) {
            int wanted = from_y[k * height + y];
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
        int32_t above = weights_y[y], below = weights_y[height + y];
        for (int c = 0; c < 3; c++) {
            uint8_t *to = result + ((int64_t)c * height + y) * size;
            for (int x = 0; x < size; x++) {
                int32_t upper = (above * sums[0][c * size + x]) >> 16, lower = (below * sums[1][c * size + x]) >> 16;
                to[x] = (upper + lower + 2) >> 2;
            }
        }
    }
}

/* PyTorch's bilinear without antialiasing, in float32; every product and sum is rounded by itself, so the library is
   compiled without contraction. `scratch` has room for two rows of sums, 6 * size of them. */
void torch_linear(const uint8_t *frame, int64_t stride, int size, int height, const int32_t *from_x,
                  const float *weights_x, const int32_t *from_y, const float *weights_y, float *scratch, float *result)
{
    int held[2] = {-1, -1};
    int line = 3 * size;
    for (int y = 0; y < height; y++) {
        float *sums[2];
        for (int k = 0; k < 2; k++) {
            int wanted = from_y[k * height + y];
            int slot = wanted & 1;
            sums[k] = scratch + slot * line;
            if (held[slot] == wanted) continue;
            held[slot] = wanted;
            const uint8_t *row = frame + wanted * stride;
            for (int x = 0; x < size; x++) {
                const uint8_t *left = row + 3 * from_x[x], *right = row + 3 * from_x[size + x];
                float a = weights_x[x], b = weights_x[size + x];
                for (int c = 0; c < 3; c++) sums[k][c * size + x] = left[c] * a + right[c] * b;
            }
        }
        float above = weights_y[y], below = weights_y[height + y];
        for (int c = 0; c < 3; c++) {
            float *to = result + ((int64_t)c * height + y) * size;
            for (int x = 0; x < size; x++) to[x] = above * sums[0][c * size + x] + below * sums[1][c * size + x];
        }
    }
}
