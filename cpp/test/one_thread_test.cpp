/// MXNet in the calling thread: it computes on every core, and every other thread is refused.

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "noise.hpp"
#include "vqvae/codec.hpp"

namespace {

/// Return the number of threads of this process.
unsigned threads() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "Threads:" && status >> word) return static_cast<unsigned>(std::stoul(word));
  }
  return 0;
}

/// Return the number of cores that OpenMP may use.
unsigned cores() {
  if (const char* const text = std::getenv("OMP_NUM_THREADS")) return static_cast<unsigned>(std::stoul(text));
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 0;
}

template <typename Call>
void elsewhere(Call call) {
  std::thread thread(call);
  thread.join();
}

}  // namespace

int main() {
  vqvae::compute_in_this_thread();
  const unsigned before = threads();
  vqvae::Codec codec(VQVAE_PRETRAINED, 4);
  const std::vector<vqvae::Image> images = noise(10);
  const std::vector<vqvae::Codes> codes = codec.encode(images);
  // By default MXNet uses half of the cores; using more than eight would take more images.
  check::that(threads() - before >= std::min(cores(), 8U) - 1, "every core computes");

  using vqvae::Error;
  const std::string words = "only that one may";
  elsewhere([&] { check::refuses<Error>([&] { codec.encode(images); }, words, "encoding in another thread"); });
  elsewhere([&] { check::refuses<Error>([&] { codec.decode(codes); }, words, "decoding in another thread"); });
  elsewhere([&] { check::refuses<Error>([] { vqvae::Codec(VQVAE_PRETRAINED); }, words, "a codec of another thread"); });
  elsewhere([&] { check::refuses<Error>([&] { codec.read_image(VQVAE_DIGITS "/0.png"); }, words, "an image there"); });
  elsewhere(
      [&] { check::refuses<Error>([] { vqvae::compute_in_this_thread(); }, "call it first", "a second thread"); });
  vqvae::compute_in_this_thread();
  check::that(codec.encode(images) == codes, "and this thread goes on");
  return check::failures;
}
