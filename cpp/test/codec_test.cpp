/// The codec on the pre-trained model.

#include <random>
#include <utility>
#include <vector>

#include "check.hpp"
#include "vqvae/codec.hpp"

namespace {

std::vector<vqvae::Image> noise(std::size_t count) {
  std::mt19937 generator(0);
  std::vector<vqvae::Image> images(count, vqvae::Image{1, 28, 28, std::string(28 * 28, '\0')});
  for (vqvae::Image& image : images) {
    for (char& byte : image.bytes) byte = static_cast<char>(generator() & 0xFFU);
  }
  return images;
}

bool same(const std::vector<vqvae::Image>& first, const std::vector<vqvae::Image>& second) {
  if (first.size() != second.size()) return false;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (first[i].bytes != second[i].bytes) return false;
  }
  return true;
}

void test_shapes(const vqvae::Codec& codec) {
  check::that(codec.image_shape() == vqvae::Shape{1, 28, 28}, "images are 1 x 28 x 28");
  check::that(codec.codes_shape() == vqvae::Shape{7, 7}, "codes are 7 x 7");
  check::that(codec.num_embeddings() == 64, "there are 64 embeddings");
}

void test_batch_sizes(vqvae::Codec& one) {
  const std::vector<vqvae::Image> images = noise(10);
  const std::vector<vqvae::Codes> codes = one.encode(images);
  const std::vector<vqvae::Image> reconstructed = one.reconstruct(images);
  check::that(same(reconstructed, one.decode(codes)), "reconstruct is decode of encode");
  for (const unsigned batch_size : {2U, 3U, 10U, 64U}) {
    vqvae::Codec codec(VQVAE_PRETRAINED, batch_size);
    check::that(codec.encode(images) == codes && same(codec.decode(codes), reconstructed),
                "batch size " + std::to_string(batch_size) + " gives the same bits");
  }
}

void test_refusals(vqvae::Codec& codec) {
  using vqvae::Error;
  check::refuses<Error>([] { vqvae::Codec("/no/such/folder"); }, "holds no exported model", "a missing model");
  check::refuses<Error>([] { vqvae::Codec(VQVAE_PRETRAINED, 0); }, "batch size was given as 0", "batch size 0");
  check::refuses<Error>([&] { codec.encode(vqvae::Image{1, 2, 2, "abcd"}); }, "shape (1, 2, 2)", "a small image");
  check::refuses<Error>([&] { codec.encode(vqvae::Image{1, 28, 28, "abcd"}); }, "4 bytes", "an image cut short");
  check::refuses<Error>([&] { codec.decode(vqvae::Codes(48)); }, "48 codes were given", "48 codes");
  check::refuses<Error>([&] { codec.decode(vqvae::Codes(49, 64)); }, "code 64 was given", "code 64");
  check::refuses<Error>([&] { codec.decode(vqvae::Codes(49, -1)); }, "code -1 was given", "code -1");
}

void test_text(vqvae::Codec& codec) {
  const vqvae::Codes codes = codec.encode(noise(1).front());
  const std::string text = vqvae::format_codes(codes, 7);
  check::that(vqvae::parse_codes("text", text, codec) == codes, "codes survive being text");
  check::that(vqvae::format_codes({1, 2, 3, 4}, 2) == "1 2\n3 4\n", "codes are lines of integers");
}

void test_moving() {
  vqvae::Codec first(VQVAE_PRETRAINED);
  const vqvae::Image image = noise(1).front();
  const vqvae::Codes codes = first.encode(image);
  vqvae::Codec second = std::move(first);
  check::that(second.encode(image) == codes, "a moved codec goes on");
}

}  // namespace

int main() {
  vqvae::Codec codec(VQVAE_PRETRAINED);
  test_shapes(codec);
  test_batch_sizes(codec);
  test_refusals(codec);
  test_text(codec);
  test_moving();
  return check::failures;
}
