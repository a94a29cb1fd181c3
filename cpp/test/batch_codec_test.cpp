/// Many images with several threads: the same results as with one codec, in order, also for several callers at once.

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "noise.hpp"
#include "vqvae/batch_codec.hpp"

namespace {

using vqvae::BatchCodec;
using vqvae::Codes;
using vqvae::Error;
using vqvae::Image;

bool same(const std::vector<Image>& first, const std::vector<Image>& second) {
  if (first.size() != second.size()) return false;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (first[i].bytes != second[i].bytes) return false;
  }
  return true;
}

void test_counts(BatchCodec& batches, vqvae::Codec& codec) {
  for (const std::size_t count : {0U, 1U, 6U, 7U, 8U, 50U}) {
    const std::vector<Image> images = noise(count);
    const std::vector<Codes> codes = batches.encode(images);
    const bool holds = codes == codec.encode(images) && same(batches.decode(codes), codec.decode(codes)) &&
                       same(batches.reconstruct(images), codec.reconstruct(images));
    check::that(holds, std::to_string(count) + " images give what one codec gives");
  }
}

void test_callers(BatchCodec& batches, vqvae::Codec& codec) {
  const std::vector<Image> images = noise(60);
  const std::vector<Codes> expected = codec.encode(images);
  std::vector<std::vector<Codes>> found(5);
  std::vector<std::thread> callers;
  for (std::vector<Codes>& codes : found) {
    callers.emplace_back([&] {
      for (int i = 0; i < 5; ++i) codes = batches.encode(images);
    });
  }
  for (std::thread& caller : callers) caller.join();
  bool holds = true;
  for (const std::vector<Codes>& codes : found) holds = holds && codes == expected;
  check::that(holds, "five callers get their own results");
}

void test_refusals(BatchCodec& batches) {
  std::vector<Image> images = noise(60);
  images[30] = Image{1, 2, 2, "abcd"};
  images[59] = Image{1, 3, 3, "abcdefghi"};
  for (int i = 0; i < 10; ++i) {
    check::refuses<Error>([&] { batches.encode(images); }, "shape (1, 2, 2)", "the first wrong image");
  }
  check::refuses<Error>([&] { batches.decode({Codes(49), Codes(48)}); }, "48 codes were given", "48 codes");
  check::that(batches.encode(noise(20)).size() == 20, "and it goes on");
  check::refuses<Error>([] { BatchCodec(VQVAE_PRETRAINED, 0); }, "threads was given as 0: it must be from 1",
                        "no thread");
  check::refuses<Error>([] { BatchCodec(VQVAE_PRETRAINED, 1025); }, "threads was given as 1025", "many threads");
  check::refuses<Error>([] { BatchCodec(VQVAE_PRETRAINED, 1, 0); }, "batch size was given as 0", "batch size 0");
  check::refuses<Error>([] { BatchCodec("/no/such/folder"); }, "holds no exported model", "a missing model");
  check::refuses<Error>([] { vqvae::compute_in_threads(0); }, "threads was given as 0", "no thread of MXNet's");
}

/// Return how many cores an MXNet operator may use on a device: OpenMP's answer in the thread that runs it.
int cores_of(unsigned device) {
  static int count;
  const auto ask = [](void*, void*) {
    count = reinterpret_cast<int (*)()>(::dlsym(RTLD_DEFAULT, "omp_get_max_threads"))();
  };
  const unsigned context[] = {1, device};
  MXEnginePushSync(ask, nullptr, nullptr, context, nullptr, 0, nullptr, 0);
  MXNDArrayWaitAll();
  return count;
}

void test_cores() {
  const int all = static_cast<int>(vqvae::detail::cores());
  vqvae::compute_in_threads(1);
  check::that(cores_of(0) == all, "one thread has all cores");
  vqvae::compute_in_threads(2);
  const int half = std::max(1, all / 2);
  check::that(cores_of(1) == half && cores_of(2) == half, "two threads have half of them each");
  check::that(vqvae::detail::next_device() != 0, "and MXNet keeps a third, in which it waits for them");
  const Codes expected = vqvae::Codec(VQVAE_PRETRAINED).encode(noise(1).front());
  check::that(vqvae::Codec(VQVAE_PRETRAINED).encode(noise(1).front()) == expected, "and give the same codes");
}

}  // namespace

int main() {
  ::unsetenv("OMP_NUM_THREADS");
  test_cores();
  BatchCodec batches(VQVAE_PRETRAINED, 3, 7);
  vqvae::Codec codec(VQVAE_PRETRAINED, 4);
  check::that(batches.read_image(VQVAE_DIGITS "/3.png", true).bytes == codec.read_image(VQVAE_DIGITS "/3.png").bytes,
              "images are read in the model's shape");
  test_counts(batches, codec);
  test_callers(batches, codec);
  test_refusals(batches);
  return check::failures;
}
