// Codes: operands are float32 arrays of whole multiples n * unit, |n| <= 127, unit a power of two; n is their code.

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))
#else
#define AVX2
#endif

constexpr int64_t kRows = 6, kCols = 16;     // a tile of the result: twelve accumulators of eight int32
constexpr int64_t kInt32Products = 133'144;  // * 127^2 < 2^31

struct alignas(64) Line {  // one step of a panel: kCols pairs
  int16_t codes[2 * kCols];
};

// Memory that a thread keeps between calls: XLA calls from several threads at once.
template <class T, int kPurpose>
T* scratch(int64_t size) {
  thread_local std::vector<T> memory;
  if (static_cast<int64_t>(memory.size()) < size) memory.resize(size);
  return memory.data();
}

// The code of a value, in the lower half: the sum's significand counts ones, from 1.5 * 2^23. A conversion to int32 is
// undefined for infinities and NaN; of their bits, as arithmetic makes them, the lower half is 0.
inline uint32_t code(float value, float scale) {
  const float sum = value * scale + 0x1.8p23f;
  uint32_t bits;
  std::memcpy(&bits, &sum, sizeof(bits));
  return bits;
}

inline void store_pair(float low, float high, float low_scale, float high_scale, int16_t* out) {
  const uint32_t both = (code(low, low_scale) & 0xffff) | code(high, high_scale) << 16;
  std::memcpy(out, &both, sizeof(both));
}
