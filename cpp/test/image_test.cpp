/// Image files. Which bad files are refused, and how, is tested from Python for both languages at once.

#include <filesystem>
#include <random>

#include "check.hpp"
#include "vqvae/image.hpp"

namespace {

const std::filesystem::path folder = std::filesystem::temp_directory_path() / "vqvae image test";

vqvae::Image noise(unsigned channels, unsigned height, unsigned width) {
  std::mt19937 generator(0);
  vqvae::Image image{channels, height, width, std::string(std::size_t{channels} * height * width, '\0')};
  for (char& byte : image.bytes) byte = static_cast<char>(generator() & 0xFFU);
  return image;
}

void test_round_trip(unsigned channels, unsigned height, unsigned width) {
  const vqvae::Image image = noise(channels, height, width);
  vqvae::write_png(folder / "noise.png", image);
  const vqvae::Image read = vqvae::read_image(folder / "noise.png", channels, height, width, true);
  check::that(read.bytes == image.bytes, "a PNG of " + vqvae::to_string({channels, height, width}) + " is read back");
}

void test_refusals() {
  using vqvae::Error;
  const auto path = folder / "refused.png";
  for (const vqvae::Image& image : {vqvae::Image{1, 28, 28, "abc"}, vqvae::Image{2, 2, 2, "12345678"}, vqvae::Image{1, 0, 0, ""}}) {
    check::refuses<Error>([&] { vqvae::write_png(path, image); }, "a PNG takes", "an image that is none");
  }
  check::that(!std::filesystem::exists(path), "nothing is written");
  vqvae::write_png(folder / "small.png", noise(1, 2, 2));
  for (const unsigned channels : {0U, 2U, 4U}) {
    check::refuses<Error>([&] { vqvae::read_image(folder / "small.png", channels, 2, 2); }, "have 1 or 3", "no such channels");
  }
  check::refuses<Error>([] { vqvae::read_image(folder / "small.png", 1, 0, 2); }, "without pixels", "no pixels");
  std::filesystem::remove(folder / "small.png");
}

void test_checksums() {
  // The check values of the two standards.
  check::that(vqvae::detail::crc32("123456789") == 0xCBF43926U, "CRC-32");
  check::that(vqvae::detail::adler32("Wikipedia") == 0x11E60398U, "Adler-32");
}

void test_writing() {
  vqvae::write_file(folder / "file", "first");
  vqvae::write_file(folder / "file", "second");
  check::that(vqvae::read_file(folder / "file") == "second", "a file is replaced");
  const auto missing = folder / "no" / "file";
  check::refuses<vqvae::Error>([&] { vqvae::write_file(missing, ""); }, "cannot be written", "a missing folder");
  check::refuses<vqvae::Error>([&] { vqvae::write_file(folder, ""); }, "cannot be written", "a folder");
  check::refuses<vqvae::Error>([] { vqvae::write_file("/dev/full", "x"); }, "cannot be written", "a full device");
  check::refuses<vqvae::Error>([&] { vqvae::read_file(missing); }, "no such file", "a missing file");
  check::refuses<vqvae::Error>([] { vqvae::read_file(folder); }, "cannot be read", "a folder to read");
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files += entry.is_regular_file();
  check::that(files == 2, "no temporary file stays");
}

}  // namespace

int main() {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  test_checksums();
  test_round_trip(1, 28, 28);
  test_round_trip(3, 5, 7);
  test_round_trip(1, 300, 300);  // more than one deflate block
  test_refusals();
  test_writing();
  std::filesystem::remove_all(folder);
  return check::failures;
}
