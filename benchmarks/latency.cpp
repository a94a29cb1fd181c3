/// Reconstructs images one at a time and prints the milliseconds for each.
///
/// Usage: latency MODEL IMAGES COUNT, IMAGES being raw bytes. MXNet computes in the one thread there is, unless
/// MXNET_ENGINE_TYPE says otherwise.

#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "vqvae/codec.hpp"

int main(int count, char** arguments) {
  try {
    if (count != 4) throw vqvae::Error("usage: latency MODEL IMAGES COUNT");
    vqvae::compute_in_this_thread();
    vqvae::Codec codec(arguments[1]);
    const vqvae::Shape& shape = codec.image_shape();
    const std::size_t size = vqvae::volume(shape), images = std::stoul(arguments[3]);
    const std::string content = vqvae::read_file(arguments[2]);
    constexpr std::size_t warm_up = 20;
    for (std::size_t i = 0; i < warm_up + images; ++i) {
      const std::size_t index = i < warm_up ? 0 : i - warm_up;
      const vqvae::Image image{shape[0], shape[1], shape[2], content.substr(index * size, size)};
      const auto start = std::chrono::steady_clock::now();
      const std::vector<vqvae::Image> reconstruction = codec.reconstruct({image});
      const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
      if (i >= warm_up) std::cout << time.count() << "\n";
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "latency: error: " << error.what() << "\n";
    return 2;
  }
}
