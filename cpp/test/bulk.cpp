/// Encodes and reconstructs raw images, for comparison with Python.
///
/// Usage: bulk MODEL BATCH_SIZE IMAGES CODES RECONSTRUCTIONS [THREADS]; all files are raw bytes. Prints the seconds
/// that encoding and decoding took, after warm-up batches in which oneDNN generates code.

#include <chrono>
#include <cstddef>
#include <iostream>
#include <string>
#include <vector>

#include "vqvae/batch_codec.hpp"

int main(int count, char** arguments) {
  try {
    if (count != 6 && count != 7) {
      throw vqvae::Error("usage: bulk MODEL BATCH_SIZE IMAGES CODES RECONSTRUCTIONS [THREADS]");
    }
    const auto number = [&](int place) { return static_cast<unsigned>(std::stoul(arguments[place])); };
    const unsigned threads = count == 7 ? number(6) : 1;
    if (threads == 1) vqvae::compute_in_this_thread();
    vqvae::BatchCodec codec(arguments[1], threads, number(2));
    const vqvae::Shape& shape = codec.codec().image_shape();
    const std::string content = vqvae::read_file(arguments[3]);
    const std::size_t size = vqvae::volume(shape);
    std::vector<vqvae::Image> images;
    for (std::size_t start = 0; start + size <= content.size(); start += size) {
      images.push_back({shape[0], shape[1], shape[2], content.substr(start, size)});
    }
    const vqvae::Image black{shape[0], shape[1], shape[2], std::string(size, '\0')};
    codec.reconstruct(std::vector<vqvae::Image>(2 * std::size_t{threads} * number(2), black));

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
