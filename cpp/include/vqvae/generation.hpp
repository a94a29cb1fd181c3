#pragma once

/// @file
/// New images as files: a single image, a grid of several, or a folder with a file for each. Mirrors
/// vqvae_gluon/deploy/generation.py.
///
///     vqvae::Sampler sampler("pre-trained");
///     vqvae::SampleSettings settings;
///     settings.count = 20;
///     vqvae::write_images(sampler, settings, "threes.png");    // a grid; "threes/" gives a file for each
///
/// Threads and lifetime: the rules of the given sampler apply.

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

#include "vqvae/codec.hpp"
#include "vqvae/error.hpp"
#include "vqvae/files.hpp"
#include "vqvae/image.hpp"
#include "vqvae/sampler.hpp"

namespace vqvae {

namespace detail {

/// Several images in one: a grid of rows and columns that is about square.
class Grid {
 public:
  /// Throws Error if the grid has more pixels than an image may have.
  Grid(const Shape& image, std::size_t count) {
    while (columns_ * columns_ < count) ++columns_;
    const std::size_t rows = (count + columns_ - 1) / columns_;
    const std::size_t height = rows * (image[1] + gap) - gap, width = columns_ * (image[2] + gap) - gap;
    if (width > static_cast<std::size_t>(max_pixels()) / height) {
      throw Error("count was given as " + std::to_string(count) + ": a picture of that many images has more than " +
                  std::to_string(max_pixels()) + " pixels; give a folder OUT/ instead");
    }
    picture = Image{image[0], static_cast<unsigned>(height), static_cast<unsigned>(width),
                    std::string(image[0] * height * width, static_cast<char>(gray))};
  }

  void place(const Image& image, std::size_t number) {
    const std::size_t top = number / columns_ * (image.height + gap), left = number % columns_ * (image.width + gap);
    for (std::size_t line = 0; line < std::size_t{image.channels} * image.height; ++line) {
      const std::size_t channel = line / image.height, row = top + line % image.height;
      const std::size_t start = (channel * picture.height + row) * picture.width + left;
      picture.bytes.replace(start, image.width, image.bytes, line * image.width, image.width);
    }
  }

  Image picture;

 private:
  static constexpr unsigned gap = 1, gray = 128;
  std::size_t columns_ = 1;
};

/// A folder that is written under a temporary name and renamed when it is complete; otherwise nothing is left behind.
class StagedFolder {
 public:
  /// Throws Error if the folder already exists and is not empty, or cannot be created.
  explicit StagedFolder(const std::string& output) : output_(output) {
    std::error_code error;
    target_ = std::filesystem::weakly_canonical(output, error);
    if (!target_.has_filename()) target_ = target_.parent_path();
    const bool taken = std::filesystem::exists(target_) &&
                       (!std::filesystem::is_directory(target_) || !std::filesystem::is_empty(target_, error));
    if (taken) throw Error(output + ": is there already; give a new or an empty folder");
    temporary_ = (target_.parent_path() / ".decoding-XXXXXX").string();
    if (::mkdtemp(temporary_.data()) == nullptr) {
      temporary_.clear();
      throw_unwritable(output_, errno);
    }
    staged_ = std::filesystem::path(temporary_) / "images";
    std::filesystem::create_directory(staged_, error);
    if (error) throw_unwritable(output_, error.value());
  }
  StagedFolder(const StagedFolder&) = delete;
  StagedFolder& operator=(const StagedFolder&) = delete;
  ~StagedFolder() {
    std::error_code ignored;
    if (!temporary_.empty()) std::filesystem::remove_all(temporary_, ignored);
  }

  void write(const Image& image, std::size_t number) {
    char name[16];
    std::snprintf(name, sizeof name, "%07zu.png", number);
    write_png(staged_ / name, image);
  }

  void finish() {
    std::error_code error;
    std::filesystem::remove(target_, error);
    std::filesystem::rename(staged_, target_, error);
    if (error) throw_unwritable(output_, error.value());
  }

 private:
  std::string output_, temporary_;
  std::filesystem::path target_, staged_;
};

}  // namespace detail

/// Write new images to `output`. A name that ends in a slash gets a new folder with a PNG file for each image; any
/// other name gets one PNG file, the image or a grid of several. `go_on` is called from time to time and may throw to
/// stop. Throws Error as Sampler::sample does, and if the files cannot be written; nothing is left behind then.
inline void write_images(
    Sampler& sampler, const SampleSettings& settings, const std::string& output,
    const std::function<void()>& go_on = [] {}) {
  const auto each = [&](auto&& take) {
    std::size_t number = 0;
    sampler.sample(settings, [&](const std::vector<Codes>& codes) {
      go_on();
      for (const Image& image : sampler.codec().decode(codes)) take(image, number++);
    });
  };
  if (!output.empty() && output.back() == '/') {
    detail::StagedFolder folder(output);
    each([&](const Image& image, std::size_t number) { folder.write(image, number); });
    folder.finish();
    return;
  }
  detail::Grid grid(sampler.codec().image_shape(), settings.count);
  each([&](const Image& image, std::size_t number) { grid.place(image, number); });
  write_png(output, grid.picture);
}

}  // namespace vqvae
