/// Encodes and reconstructs raw images, for comparison with Python.
///
/// Usage: bulk MODEL BATCH_SIZE IMAGES CODES RECONSTRUCTIONS, all files being raw bytes. Prints how many
/// seconds encoding and decoding took.

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "vqvae/codec.hpp"

int main(int count, char** arguments) {
  try {
    if (count != 6) throw vqvae::Error("usage: bulk MODEL BATCH_SIZE IMAGES CODES RECONSTRUCTIONS");
    vqvae::Codec codec(arguments[1], static_cast<unsigned>(std::stoul(arguments[2])));
    const vqvae::Shape& shape = codec.image_shape();
    const std::string content = vqvae::read_file(arguments[3]);
    std::vector<vqvae::Image> images;
    for (std::size_t first = 0; first < content.size(); first += vqvae::volume(shape)) {
      images.push_back({shape[0], shape[1], shape[2], content.substr(first, vqvae::volume(shape))});
    }
    const auto start = std::chrono::steady_clock::now();
    const std::vector<vqvae::Codes> codes = codec.encode(images);
    const std::vector<vqvae::Image> reconstructions = codec.decode(codes);
    std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << "\n";
    std::string code_bytes, pixels;
    for (const vqvae::Codes& row : codes) {
      for (const int code : row) code_bytes += static_cast<char>(code);
    }
    for (const vqvae::Image& image : reconstructions) pixels += image.bytes;
    vqvae::write_file(arguments[4], code_bytes);
    vqvae::write_file(arguments[5], pixels);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bulk: error: " << error.what() << "\n";
    return 2;
  }
}
