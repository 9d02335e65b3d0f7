// Random numbers of JAX's threefry2x32, the same bits as `jax.random.bits(key, [n], uint16)`, by counters in order.
//
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; 20 rounds.

#include "codes.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};

AVX2 ffi::Error Uniform16(ffi::Buffer<ffi::U32> key, ffi::Result<ffi::Buffer<ffi::F32>> result) {
  const uint32_t* words = key.typed_data();
  const uint32_t keys[3] = {words[0], words[1], words[0] ^ words[1] ^ 0x1BD11BDA};
  float* out = result->typed_data();
  const int64_t size = result->element_count();
  for (int64_t start = 0; start < size; start += int64_t{1} << 32) {  // the counter's upper word changes between these
    const uint32_t upper = static_cast<uint32_t>(start >> 32) + keys[0];
    const int64_t count = std::min(size - start, int64_t{1} << 32);
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) {
      uint32_t a = upper, b = static_cast<uint32_t>(i) + keys[1];
#pragma GCC unroll 5
      for (int group = 0; group < 5; ++group) {
#pragma GCC unroll 4
        for (int round = 0; round < 4; ++round) {
          const int by = kRotations[group % 2][round];
          a += b;
          b = ((b << by) | (b >> (32 - by))) ^ a;
        }
        a += keys[(group + 1) % 3];
        b += keys[(group + 2) % 3] + group + 1;
      }
      out[start + i] = static_cast<float>(static_cast<int32_t>((a ^ b) & 0xffff)) * 0x1p-16f;
    }
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(uniform16, Uniform16,
                              ffi::Ffi::Bind().Arg<ffi::Buffer<ffi::U32>>().Ret<ffi::Buffer<ffi::F32>>());
