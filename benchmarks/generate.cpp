/// Draws images' codes and prints the milliseconds for each go.
///
/// Usage: generate MODEL COUNT TIMES. MXNet computes in the one thread there is, unless MXNET_ENGINE_TYPE says
/// otherwise.

#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>

#include "vqvae/sampler.hpp"

int main(int count, char** arguments) {
  try {
    if (count != 4) throw vqvae::Error("usage: generate MODEL COUNT TIMES");
    vqvae::compute_in_this_thread();
    vqvae::Sampler sampler(arguments[1]);
    vqvae::SampleSettings settings;
    settings.count = std::stoul(arguments[2]);
    constexpr std::uint32_t warm_up = 2;
    for (std::uint32_t i = 0; i < warm_up + std::stoul(arguments[3]); ++i) {
      settings.seed = i;
      settings.label = sampler.classes().at(i % sampler.classes().size());
      const auto start = std::chrono::steady_clock::now();
      sampler.sample(settings);
      const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
      if (i >= warm_up) std::cout << time.count() << "\n";
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "generate: error: " << error.what() << "\n";
    return 2;
  }
}
