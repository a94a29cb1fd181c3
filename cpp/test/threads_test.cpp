/// Eight threads with one codec each: every reconstruction equals that of a single thread, and memory does not grow.
///
/// Usage: threads_test [COUNT]: the number of reconstructions, all threads together.

#include <atomic>
#include <cstddef>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "noise.hpp"
#include "vqvae/codec.hpp"

namespace {

constexpr unsigned threads = 8;
constexpr std::size_t images = 64;

/// Return the resident memory of this process in MiB.
double memory() {
  std::ifstream file("/proc/self/statm");
  double whole = 0, resident = 0;
  file >> whole >> resident;
  return resident * 4096 / (1 << 20);
}

/// Reconstruct in all threads; return how many of the `count` results differ.
std::size_t differences(const std::vector<vqvae::Image>& inputs, const std::vector<vqvae::Image>& expected,
                        std::vector<vqvae::Codec>& codecs, std::size_t count) {
  std::atomic<std::size_t> next{0}, wrong{0};
  std::vector<std::thread> workers;
  for (vqvae::Codec& codec : codecs) {
    workers.emplace_back([&] {
      for (std::size_t i = next++; i < count; i = next++) {
        const std::size_t index = i % images;
        if (codec.reconstruct({inputs[index]}).front().bytes != expected[index].bytes) ++wrong;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  return wrong;
}

}  // namespace

int main(int count, char** arguments) {
  const std::size_t reconstructions = count > 1 ? std::stoul(arguments[1]) : 2000;
  const std::vector<vqvae::Image> inputs = noise(images);
  const std::vector<vqvae::Image> expected = vqvae::Codec(VQVAE_PRETRAINED).reconstruct(inputs);
  std::vector<vqvae::Codec> codecs;
  for (unsigned i = 0; i < threads; ++i) codecs.emplace_back(VQVAE_PRETRAINED);
  check::that(differences(inputs, expected, codecs, 1000) == 0, "1000 reconstructions are those of one thread");
  const double before = memory();
  check::that(differences(inputs, expected, codecs, reconstructions) == 0,
              std::to_string(reconstructions) + " reconstructions are those of one thread");
  const double grown = memory() - before;
  check::that(grown < 8, "memory grew by " + std::to_string(grown) + " MiB");
  return check::failures;
}
