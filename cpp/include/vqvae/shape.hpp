#pragma once

/// @file
/// The shapes of tensors, formatted as NumPy does: `vqvae::to_string({1, 28, 28})` is "(1, 28, 28)". Plain values,
/// usable from any thread.

#include <cstddef>
#include <string>
#include <vector>

namespace vqvae {

/// The dimensions of a tensor, outermost first.
using Shape = std::vector<unsigned>;

/// Return the number of values in a tensor of this shape.
inline std::size_t volume(const Shape& shape) {
  std::size_t product = 1;
  for (const unsigned side : shape) product *= side;
  return product;
}

/// Return the shape of a batch of `size` tensors of this shape.
inline Shape batched(unsigned size, const Shape& shape) {
  Shape result{size};
  result.insert(result.end(), shape.begin(), shape.end());
  return result;
}

/// Return a shape as text, such as "(1, 28, 28)".
inline std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace vqvae
