// Exact convolution contractions on integer grids, for XLA's CPU backend.
//
// `multiply` does all of them on pairs of codes. What a pair is differs:
//
//   correlate        two neighbours in the run of kw * Ci values that one output position sees in one row of x;
//   weight_gradient  the same value of two images.

#include "image.h"
#include "multiply.h"

using Array = ffi::Buffer<ffi::F32>;
using Padding = ffi::Span<const int64_t>;  // top, bottom, left, right

namespace {

constexpr int64_t kGradientSteps = 256;      // positions per pass of a weight gradient: 16 KiB of errors, for L1
constexpr int64_t kTileSteps = 128;          // and of one with Winograd: at most kWinogradProducts / 8
constexpr int64_t kLongestSteps = 65'536;    // pairs of products that surely fit an int32

// A line of the pairs of low[n * step] and high[n * step], n < count.
AVX2 inline void pack(const float* low, const float* high, float low_scale, float high_scale, int64_t step,
                      int64_t count, Line& line) {
  if (step == 1)  // apart, so that it vectorises
    for (int64_t n = 0; n < count; ++n) store_pair(low[n], high[n], low_scale, high_scale, line.codes + 2 * n);
  else
    for (int64_t n = 0; n < count; ++n)
      store_pair(low[n * step], high[n * step], low_scale, high_scale, line.codes + 2 * n);
}

// True where there is nothing to add up: the result is then zero.
bool empty(const Array& a, const Array& b, Array& result) {
  if (a.element_count() && b.element_count() && result.element_count()) return false;
  std::fill_n(result.typed_data(), result.element_count(), 0.0f);
  return true;
}

bool consistent(ffi::Span<const int64_t> in, Padding padding, ffi::Span<const int64_t> kernel,
                ffi::Span<const int64_t> out, bool transposed) {
  return padding.size() == 4 && in[0] == out[0] && in[3] == kernel[transposed ? 3 : 2] &&
         out[3] == kernel[transposed ? 2 : 3] && in[1] + padding[0] + padding[1] - kernel[0] + 1 == out[1] &&
         in[2] + padding[2] + padding[3] - kernel[1] + 1 == out[2];
}

AVX2 ffi::Error Correlate(Array x, Array w, Array x_unit, Array w_unit, ffi::Result<Array> y, Padding padding,
                          bool transposed) {
  const auto in = x.dimensions(), kernel = w.dimensions(), out = y->dimensions();
  if (!consistent(in, padding, kernel, out, transposed))
    return ffi::Error::InvalidArgument("correlate: shapes and padding disagree");
  if (empty(x, w, *y)) return ffi::Error::Success();
  const int64_t kh = kernel[0], kw = kernel[1], c_in = in[3], c_out = out[3], run = kw * c_in, pairs = (run + 1) / 2;
  const int64_t tiles = c_in % 2 ? 0 : winograd_tiles(kw, out[2], kh * run), columns = tiles ? tiles : out[2];
  const Image image(in, {padding[0], padding[1], padding[2], padding[3]}, tiles, 1);
  const int64_t group = image.group(in[0]), result = out[1] * out[2] * c_out;
  const int64_t step_pairs = tiles ? c_in / 2 : pairs, steps = kh * step_pairs;
  int16_t* codes = scratch<int16_t, 0>(image.points() * group * image.codes());
  Product p{codes, image.points(), group * image.codes(), {}, {}, {}, kLongestSteps, c_out,
            *x_unit.typed_data() * *w_unit.typed_data()};

  for (int64_t b = 0; b < group; ++b)
    for (int64_t i = 0; i < out[1]; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        p.rows.push_back(image.offset(b, i, j));
        for (int64_t q = 0, at = tiles ? kOutputs * j : j; q < (tiles ? kOutputs : 1); ++q, ++at)
          p.places.push_back(at < out[2] ? b * result + (i * out[2] + at) * c_out : -1);
      }
  for (int64_t i = 0; i < kh; ++i)
    for (int64_t k = 0; k < step_pairs; ++k) p.steps.push_back(2 * image.offset(0, i, 0, 2 * k));

  Line* panels = scratch<Line, 0>(p.blocks() * kh * pairs);
  const float scale = 1 / *w_unit.typed_data();
  const int64_t step = transposed ? c_in : 1;
  for (int64_t at = 0; at < p.blocks() * kh * pairs; ++at) {
    const int64_t k = at % pairs, i = at / pairs % kh, from = at / pairs / kh * kCols;
    const auto weights = [&](int64_t r) {  // of value r of run i, to the block's outputs
      const int64_t row = transposed ? ((kh - i) * kw - 1 - r / c_in) * c_out * c_in + r % c_in : (i * run + r) * c_out;
      return w.typed_data() + row + from * step;
    };
    const bool odd = 2 * k + 1 == run;  // the last value then has no neighbour
    const int64_t count = std::min(kCols, c_out - from);
    pack(weights(2 * k), weights(2 * k + !odd), scale, odd ? 0 : scale, step, count, panels[at]);
  }
  if (tiles) {
    const Line* taps = panels;
    panels = scratch<Line, 1>(kPoints * p.blocks() * steps);
    for (int64_t i = 0; i < p.blocks() * kh; ++i)
      to_points(kWeights, taps[i * pairs].codes, 2 * kCols * step_pairs, 2 * kCols * step_pairs,
                panels[i * step_pairs].codes, 2 * kCols * p.blocks() * steps);
  }

  const auto run_group = 2 * steps > kInt32Products ? multiply<double> : multiply<int32_t>;
  for (int64_t start = 0; start < in[0]; start += group) {
    const int64_t count = std::min(group, in[0] - start);
    for (int64_t b = 0; b < count; ++b) {
      const float* values = x.typed_data() + (start + b) * image.values();
      image.load(values, values, 1 / *x_unit.typed_data(), 0, codes + image.offset(b, 0, 0), p.point_codes);
    }
    run_group(p, count * out[1] * columns, steps, panels, true, true, y->typed_data() + start * result, count * result);
  }
  return ffi::Error::Success();
}

AVX2 ffi::Error WeightGradient(Array x, Array e, Array x_unit, Array e_unit, ffi::Result<Array> dw, Padding padding) {
  const auto in = x.dimensions(), out = e.dimensions(), kernel = dw->dimensions();
  if (!consistent(in, padding, kernel, out, false))
    return ffi::Error::InvalidArgument("weight_gradient: shapes and padding disagree");
  if (empty(x, e, *dw)) return ffi::Error::Success();
  const int64_t pairs = (in[0] + 1) / 2, kh = kernel[0], kw = kernel[1], c_in = in[3], c_out = out[3];
  const int64_t tiles = winograd_tiles(kw, out[2], 0), columns = tiles ? tiles : out[2], positions = out[1] * columns;
  const Image image(in, {padding[0], padding[1], padding[2], padding[3]}, tiles, 2);
  const Image errors(out, {0, 0, 0, 0}, tiles, 2);
  const int64_t group = image.group(pairs), rows = tiles ? c_in : kw * c_in;
  int16_t* codes = scratch<int16_t, 0>(image.points() * group * image.codes());
  int16_t* line = scratch<int16_t, 2>(errors.padded_width * errors.channels + kSlack);
  Product p{codes, image.points(), group * image.codes(), {}, {}, {}, tiles ? kTileSteps : kGradientSteps, c_out,
            *x_unit.typed_data() * *e_unit.typed_data()};

  for (int64_t i = 0; i < kh; ++i)
    for (int64_t r = 0; r < rows; ++r) {
      p.rows.push_back(image.offset(0, i, 0, 2 * r));
      for (int64_t j = 0; j < (tiles ? kTaps : 1); ++j) p.places.push_back(((i * kw + j) * c_in + r) * c_out);
    }
  for (int64_t b = 0; b < group; ++b)
    for (int64_t i = 0; i < out[1]; ++i)
      for (int64_t j = 0; j < columns; ++j) p.steps.push_back(2 * image.offset(b, i, j));

  Line* panels = scratch<Line, 0>(p.points * p.blocks() * group * positions);
  const float x_scale = 1 / *x_unit.typed_data(), e_scale = 1 / *e_unit.typed_data();
  const auto run_group = 2 * pairs * out[1] * out[2] > kInt32Products ? multiply<double> : multiply<int32_t>;
  for (int64_t start = 0; start < pairs; start += group) {
    const int64_t count = std::min(group, pairs - start), steps = count * positions;
    for (int64_t b = 0; b < count; ++b) {
      const int64_t low = 2 * (start + b), high = std::min(low + 1, in[0] - 1);  // an odd last image is alone
      const float alone = high == low ? 0 : 1;
      image.load(x.typed_data() + low * image.values(), x.typed_data() + high * image.values(), x_scale,
                 alone * x_scale, codes + image.offset(b, 0, 0), p.point_codes);
      for (int64_t i = 0; i < out[1]; ++i) {
        errors.row(i, e.typed_data() + low * errors.values(), e.typed_data() + high * errors.values(), e_scale,
                   alone * e_scale, line);
        for (int64_t j = 0; j < columns; ++j)
          for (int64_t block = 0; block < p.blocks(); ++block) {
            const int16_t* from = line + (tiles ? kOutputs : 1) * j * errors.channels + block * 2 * kCols;
            int16_t* to = panels[block * steps + b * positions + i * columns + j].codes;
            if (tiles)
              to_points(kErrors, from, errors.channels, 2 * kCols, to, 2 * kCols * p.blocks() * steps);
            else
              std::memcpy(to, from, sizeof(Line));
          }
      }
    }
    run_group(p, p.rows.size(), steps, panels, start == 0, start + count == pairs, dw->typed_data(),
              kh * kw * c_in * c_out);
  }
  return ffi::Error::Success();
}

}  // namespace

extern "C" int supported() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") != 0;
#else
  return 0;
#endif
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(correlate, Correlate,
                              ffi::Ffi::Bind()
                                  .Arg<Array>().Arg<Array>().Arg<Array>().Arg<Array>().Ret<Array>()
                                  .Attr<Padding>("padding").Attr<bool>("transposed"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(weight_gradient, WeightGradient,
                              ffi::Ffi::Bind()
                                  .Arg<Array>().Arg<Array>().Arg<Array>().Arg<Array>().Ret<Array>()
                                  .Attr<Padding>("padding"));
