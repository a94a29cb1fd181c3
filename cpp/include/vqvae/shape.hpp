#pragma once

/// @file
/// The shapes of tensors, as NumPy writes them: `vqvae::to_string({1, 28, 28})` is "(1, 28, 28)". Plain values, for any
/// thread.

#include <cstddef>
#include <string>
#include <vector>

namespace vqvae {

/// The sides of a tensor, the slowest first.
using Shape = std::vector<unsigned>;

/// Return the number of values in a tensor of a shape.
inline std::size_t volume(const Shape& shape) {
  std::size_t product = 1;
  for (const unsigned side : shape) product *= side;
  return product;
}

/// Return the shape of a batch of tensors of a shape.
inline Shape batched(unsigned size, const Shape& shape) {
  Shape result{size};
  result.insert(result.end(), shape.begin(), shape.end());
  return result;
}

/// Return "(1, 28, 28)".
inline std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace vqvae
