/// Image files. Which bad files are refused, and how, is tested from Python, for both languages at once.

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
  for (const vqvae::Image& image :
       {vqvae::Image{1, 28, 28, "abc"}, vqvae::Image{2, 2, 2, "12345678"}, vqvae::Image{1, 0, 0, ""}}) {
    check::refuses<Error>([&] { vqvae::write_png(path, image); }, "a PNG takes", "an image that is none");
  }
  check::that(!std::filesystem::exists(path), "nothing is written");
  vqvae::write_png(folder / "small.png", noise(1, 2, 2));
  for (const unsigned channels : {0U, 2U, 4U}) {
    check::refuses<Error>([&] { vqvae::read_image(folder / "small.png", channels, 2, 2); }, "have 1 or 3",
                          "no such channels");
  }
  check::refuses<Error>([] { vqvae::read_image(folder / "small.png", 1, 0, 2); }, "without pixels", "no pixels");
  std::filesystem::remove(folder / "small.png");
}

void test_backgrounds() {
  using vqvae::Error;
  check::that(!vqvae::parse_background(""), "no background");
  check::that(vqvae::parse_background("#10C0f3") == vqvae::Colour{16, 192, 243}, "a colour");
  check::that(vqvae::parse_background("white") == vqvae::Colour{255, 255, 255}, "white");
  for (const char* const text : {"red", "#fff", "#12345g", "112233"}) {
    check::refuses<Error>([&] { vqvae::parse_background(text); }, "must be black, white or #rrggbb", "no colour");
  }
  // One row of two RGBA pixels.
  using vqvae::detail::big_endian, vqvae::detail::png_chunk;
  const std::string header = big_endian(2) + big_endian(1) + std::string("\x08\x06\0\0\0", 5);
  const std::string row("\0\x64\x65\x66\x80\1\2\3\xff", 9);
  vqvae::write_file(folder / "alpha.png", vqvae::detail::png_signature + png_chunk("IHDR", header) +
                                              png_chunk("IDAT", vqvae::detail::stored_deflate(row)) +
                                              png_chunk("IEND", ""));
  const auto read = [&](const std::string& background) {
    return vqvae::read_image(folder / "alpha.png", 3, 1, 2, true, background).bytes;
  };
  check::that(read("white") == std::string("\xb1\1\xb2\2\xb2\3", 6), "alpha is flattened onto white");
  check::that(read("black") == std::string("\x32\1\x33\2\x33\3", 6), "alpha is flattened onto black");
  check::refuses<Error>([&] { read(""); }, "flatten it with --background", "alpha without a background");
  std::filesystem::remove(folder / "alpha.png");
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
  test_backgrounds();
  test_writing();
  std::filesystem::remove_all(folder);
  return check::failures;
}
