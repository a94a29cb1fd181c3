#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "vqvae/image.hpp"

/// Return random images of shape (1, 28, 28), always the same ones.
inline std::vector<vqvae::Image> noise(std::size_t count) {
  std::mt19937 generator(0);
  std::vector<vqvae::Image> images(count, vqvae::Image{1, 28, 28, std::string(28 * 28, '\0')});
  for (vqvae::Image& image : images) {
    for (char& byte : image.bytes) byte = static_cast<char>(generator() & 0xFFU);
  }
  return images;
}
