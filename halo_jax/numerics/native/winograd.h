// Winograd's algorithm, exact in whole numbers.

#pragma once

#include "codes.h"

// Kernels of width 3: Winograd's F(4, 3) along each row, four outputs of 12 products from 6. With points 0, +-1, +-2
// and infinity, `kInputs`, `kWeights` and `kErrors` map 6 inputs, 3 weights and 4 errors to the six points; all values
// stay below 2^11. `interpolate` undoes it. Every step is exact modulo 2^32, save the shifts, which need 24 times the
// result below 2^31; what is left to divide by, 3, has an inverse modulo 2^32.
constexpr int64_t kPoints = 6, kOutputs = 4, kTaps = 3;
constexpr int64_t kWinogradProducts = kInt32Products / 24;
constexpr int kInputs[kPoints][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                     {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
constexpr int kWeights[kPoints][3] = {{1, 0, 0}, {1, 1, 1}, {1, -1, 1}, {1, 2, 4}, {1, -2, 4}, {0, 0, 1}};
constexpr int kErrors[kPoints][4] = {
    {1, 0, 0, 0}, {1, 1, 1, 1}, {1, -1, 1, -1}, {1, 2, 4, 8}, {1, -2, 4, -8}, {0, 0, 0, 1}};

template <int kFrom>
AVX2 inline void to_points(const int (&matrix)[kPoints][kFrom], const int16_t* in, int64_t stride, int64_t count,
                           int16_t* out, int64_t point_stride) {
#pragma GCC ivdep
  for (int64_t n = 0; n < count; ++n)
#pragma GCC unroll 6
    for (int64_t p = 0; p < kPoints; ++p) {
      int sum = 0;
#pragma GCC unroll 6
      for (int64_t j = 0; j < kFrom; ++j) sum += matrix[p][j] * in[j * stride + n];
      out[p * point_stride + n] = static_cast<int16_t>(sum);
    }
}

// In place: the six points of a tile to its four outputs, or to its three weights.
AVX2 inline void interpolate(uint32_t (&m)[kPoints][kRows][kCols], bool to_weights) {
  const auto third = [](uint32_t v, int shift) {
    return static_cast<uint32_t>(static_cast<int32_t>(v) >> shift) * 0xAAAAAAABu;
  };
  const uint32_t last = to_weights ? 6 : 0;
  for (int64_t r = 0; r < kRows; ++r)
    for (int64_t c = 0; c < kCols; ++c) {
      const uint32_t sum1 = m[1][r][c] + m[2][r][c], difference1 = m[1][r][c] - m[2][r][c];
      const uint32_t sum2 = m[3][r][c] + m[4][r][c], difference2 = m[3][r][c] - m[4][r][c];
      m[0][r][c] = third(6 * m[0][r][c] - 4 * sum1 + sum2, 3);
      m[1][r][c] = third(difference2 - 2 * difference1, 2);
      m[2][r][c] = third(sum2 - sum1 + last * m[5][r][c], 1);
      m[3][r][c] = third(2 * difference2 - difference1 + 6 * m[5][r][c], 1);
    }
}

// Tiles per row where Winograd's algorithm is right and pays, else 0.
int64_t winograd_tiles(int64_t kw, int64_t width, int64_t products) {
  const int64_t tiles = (width + kOutputs - 1) / kOutputs;
  return kw == kTaps && products <= kWinogradProducts && 5 * tiles < 2 * width ? tiles : 0;
}
