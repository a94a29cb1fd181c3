/// Generates new images, all on one thread.
///
/// Usage: generate MODEL OUT.png [COUNT [SEED]]; several images make one picture; OUT/ is a folder with a file for
/// each.

#include <cstdint>
#include <exception>
#include <iostream>
#include <string>

#include <vqvae/generation.hpp>
#include <vqvae/sampler.hpp>

int main(int count, char** words) {
  if (count < 3 || count > 5) {
    std::cerr << "usage: generate MODEL OUT.png [COUNT [SEED]]\n";
    return 2;
  }
  try {
    vqvae::SampleSettings settings;
    if (count > 3) settings.count = std::stoul(words[3]);
    if (count > 4) settings.seed = static_cast<std::uint32_t>(std::stoul(words[4]));
    vqvae::compute_in_this_thread();
    vqvae::Sampler sampler(words[1]);
    vqvae::write_images(sampler, settings, words[2]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "generate: error: " << error.what() << "\n";
    return 2;
  }
}
