/// Encodes and reconstructs raw images, for comparison with Python.
///
/// Usage: bulk MODEL BATCH_SIZE IMAGES CODES RECONSTRUCTIONS [THREADS], all files being raw bytes. Each thread has a
/// codec and an equal part of the images. Prints how many seconds encoding and decoding took, after a first batch, for
/// which oneDNN generates code.

#include <chrono>
#include <cstddef>
#include <future>
#include <iostream>
#include <string>
#include <vector>

#include "vqvae/codec.hpp"

namespace {

struct Part {
  std::vector<vqvae::Image> images, reconstructions;
  std::vector<vqvae::Codes> codes;
};

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count != 6 && count != 7) {
      throw vqvae::Error("usage: bulk MODEL BATCH_SIZE IMAGES CODES RECONSTRUCTIONS [THREADS]");
    }
    const std::size_t threads = count == 7 ? std::stoul(arguments[6]) : 1;
    if (threads == 1) vqvae::compute_in_this_thread();
    std::vector<vqvae::Codec> codecs;
    for (std::size_t i = 0; i < threads; ++i) {
      codecs.emplace_back(arguments[1], static_cast<unsigned>(std::stoul(arguments[2])));
    }
    const vqvae::Shape& shape = codecs.at(0).image_shape();
    const std::string content = vqvae::read_file(arguments[3]);
    const std::size_t size = vqvae::volume(shape), images = content.size() / size;
    std::vector<Part> parts(threads);
    for (std::size_t i = 0; i < images; ++i) {
      parts[i * threads / images].images.push_back({shape[0], shape[1], shape[2], content.substr(i * size, size)});
    }
    const vqvae::Image black{shape[0], shape[1], shape[2], std::string(size, '\0')};
    for (vqvae::Codec& codec : codecs) codec.reconstruct({black});
    const auto reconstruct = [&](std::size_t i) {
      parts[i].codes = codecs[i].encode(parts[i].images);
      parts[i].reconstructions = codecs[i].decode(parts[i].codes);
    };
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::future<void>> others;
    for (std::size_t i = 1; i < threads; ++i) others.push_back(std::async(std::launch::async, reconstruct, i));
    reconstruct(0);
    for (std::future<void>& other : others) other.get();
    std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << "\n";
    std::string code_bytes, pixels;
    for (const Part& part : parts) {
      for (const vqvae::Codes& row : part.codes) {
        for (const int code : row) code_bytes += static_cast<char>(code);
      }
      for (const vqvae::Image& image : part.reconstructions) pixels += image.bytes;
    }
    vqvae::write_file(arguments[4], code_bytes);
    vqvae::write_file(arguments[5], pixels);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bulk: error: " << error.what() << "\n";
    return 2;
  }
}
