// One routine, `multiply`, does every contraction with vpmaddwd, which multiplies eight pairs of int16 codes by eight
// pairs and adds each pair's two products in int32. Element (m, n) of the result is a sum over k of the pair at
// `rows[m] + steps[k]` times pair `panel[k][n]`: both are tables of offsets, so nothing is gathered into patches.

#pragma once

#include "winograd.h"

constexpr int64_t kRowChunk = 16 * kRows;

// out[r][c] = sum over k < count of the pair at a[r] + steps[k] times panel[k].codes[2c, 2c + 1], modulo 2^32.
AVX2 inline void tile(const int16_t* const (&a)[kRows], const int64_t* steps, const Line* panel, int64_t count,
                      uint32_t (&out)[kRows][kCols]) {
#if defined(__x86_64__)
  __m256i sums[kRows][2] = {};
  for (int64_t k = 0; k < count; ++k) {
    const __m256i* line = reinterpret_cast<const __m256i*>(panel + k);
    const __m256i left = _mm256_load_si256(line), right = _mm256_load_si256(line + 1);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      int32_t pair;
      std::memcpy(&pair, reinterpret_cast<const char*>(a[r]) + steps[k], sizeof(pair));
      const __m256i both = _mm256_set1_epi32(pair);
      sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(both, left));
      sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(both, right));
    }
  }
  std::memcpy(out, sums, sizeof(out));
#else
  std::memset(out, 0, sizeof(out));
  for (int64_t k = 0; k < count; ++k)
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t c = 0; c < kCols; ++c) {
        const int16_t *x = a[r] + steps[k] / 2, *w = panel[k].codes + 2 * c;
        out[r][c] += x[0] * w[0] + x[1] * w[1];
      }
#endif
}

struct Product {
  const int16_t* a;
  int64_t points, point_codes;     // 1, or 6 for Winograd; codes of a from one point to the next
  std::vector<int64_t> rows;       // offsets into a, in codes
  std::vector<int64_t> steps;      // offsets from a row, in bytes
  std::vector<int64_t> places;     // where in the result each output of each row goes, or -1
  int64_t step_limit, columns;     // steps per pass; columns of the result
  float unit;
  int64_t blocks() const { return (columns + kCols - 1) / kCols; }
};

// Adds one row of a tile to its sums and, at the end, writes it to the result.
template <class Sum>
AVX2 inline void put(const uint32_t* out, int64_t columns, bool starts, bool ends, float unit, Sum* sums,
                     float* result) {
  const auto value = [&](int64_t c) { return static_cast<int32_t>(out[c]); };
  if (starts && ends) {
    for (int64_t c = 0; c < columns; ++c) result[c] = static_cast<float>(value(c)) * unit;
    return;
  }
  for (int64_t c = 0; c < columns; ++c) sums[c] = (starts ? 0 : sums[c]) + value(c);
  if (ends)
    for (int64_t c = 0; c < columns; ++c) result[c] = static_cast<float>(sums[c]) * unit;
}

// Adds up result[place][n] for n < columns from panels [points][blocks][steps]. A reduction may be spread over several
// calls: Sum, int32 where all of it fits and else double, then carries it from the `first` to the `last` in `sums`.
template <class Sum>
AVX2 void multiply(const Product& p, int64_t rows, int64_t steps, const Line* panels, bool first, bool last,
                   float* result, int64_t size) {
  const int64_t passes = (steps + p.step_limit - 1) / p.step_limit, outputs = p.places.size() / p.rows.size();
  const int64_t chunks = (rows + kRowChunk - 1) / kRowChunk, turns = passes * chunks * p.blocks();
  Sum* sums = scratch<Sum, 0>(first && last && passes == 1 ? 0 : size);
  // A chunk of rows meets all columns, which keeps writes together; a block of columns meets the chunk, for its panel.
  for (int64_t turn = 0; turn < turns; ++turn) {
    const int64_t block = turn % p.blocks(), chunk = turn / p.blocks() % chunks, pass = turn / p.blocks() / chunks;
    const int64_t begin = steps * pass / passes, end = steps * (pass + 1) / passes;
    const bool starts = first && pass == 0, ends = last && pass == passes - 1;
    const int64_t columns = std::min(kCols, p.columns - block * kCols), row_end = std::min(rows, (chunk + 1) * kRowChunk);
    for (int64_t row = chunk * kRowChunk; row < row_end; row += kRows) {
      alignas(64) uint32_t out[kPoints][kRows][kCols];
      for (int64_t point = 0; point < p.points; ++point) {
        const int16_t* a[kRows];
        for (int64_t r = 0; r < kRows; ++r) a[r] = p.a + point * p.point_codes + p.rows[std::min(row + r, rows - 1)];
        const Line* panel = panels + (point * p.blocks() + block) * steps;
        tile(a, p.steps.data() + begin, panel + begin, end - begin, out[point]);
      }
      if (p.points == kPoints) interpolate(out, outputs == kTaps);
      for (int64_t r = 0; r < std::min(kRows, rows - row); ++r)
        for (int64_t q = 0; q < outputs; ++q) {
          const int64_t place = p.places[(row + r) * outputs + q], at = place + block * kCols;
          if (place >= 0) put(out[q][r], columns, starts, ends, p.unit, sums + at, result + at);
        }
    }
  }
}
