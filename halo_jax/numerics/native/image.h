// Images of codes, padded, laid out for `multiply`.

#pragma once

#include "winograd.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

constexpr int64_t kGroupBytes = 256 << 10;  // padded codes of one group of images, to stay in the L2 cache
constexpr int64_t kSlack = 32;              // codes after each image: for a read past its end, and off 4 KiB strides

// The padded (or cropped) codes of one image, or of two, interleaved; with `tiles`, these of each point of each row.
struct Image {
  int64_t height, width, channels, top, left, padded_height, padded_width, tiles, depth;

  Image(ffi::Span<const int64_t> x, std::array<int64_t, 4> padding, int64_t tiles, int64_t depth)
      : height(x[1]), width(x[2]), channels(x[3] * depth), top(padding[0]), left(padding[2]),
        padded_height(height + padding[0] + padding[1]),
        padded_width(std::max(width + padding[2] + padding[3], tiles ? kOutputs * tiles + kTaps - 1 : 0)),
        tiles(tiles), depth(depth) {}

  int64_t points() const { return tiles ? kPoints : 1; }
  int64_t codes() const { return padded_height * (tiles ? tiles : padded_width) * channels + kSlack; }
  int64_t values() const { return height * width * channels / depth; }
  int64_t group(int64_t count) const {
    const int64_t fit = std::max<int64_t>(1, kGroupBytes / (2 * codes() * points()));
    return std::min(count, fit - (fit > kRows ? fit % kRows : 0));
  }
  int64_t offset(int64_t image, int64_t y, int64_t x, int64_t code = 0) const {
    return image * codes() + (y * (tiles ? tiles : padded_width) + x) * channels + code;
  }

  // One padded row of codes.
  AVX2 void row(int64_t y, const float* low, const float* high, float low_scale, float high_scale, int16_t* out) const {
    const int64_t from = std::max<int64_t>(0, -left), to = std::min(width, padded_width - left);
    const bool inside = y >= top && y - top < height && from < to;
    const int64_t skip = inside ? (from + left) * channels : 0, count = inside ? (to - from) * channels : 0;
    const int64_t at = ((y - top) * width + from) * channels / depth;
    std::fill(out, out + skip, 0);
    if (depth == 1)
      for (int64_t i = 0; i < count; ++i) out[skip + i] = static_cast<int16_t>(code(low[at + i], low_scale));
    else
      for (int64_t i = 0; i < count / 2; ++i)
        store_pair(low[at + i], high[at + i], low_scale, high_scale, out + skip + 2 * i);
    std::fill(out + skip + count, out + padded_width * channels, 0);
  }

  AVX2 void load(const float* low, const float* high, float low_scale, float high_scale, int16_t* out,
                 int64_t point_codes) const {
    int16_t* line = scratch<int16_t, 1>(padded_width * channels);
    for (int64_t y = 0; y < padded_height; ++y) {
      row(y, low, high, low_scale, high_scale, tiles ? line : out + offset(0, y, 0));
      for (int64_t t = 0; t < tiles; ++t)
        to_points(kInputs, line + kOutputs * t * channels, channels, channels, out + offset(0, y, t), point_codes);
    }
  }
};
