#pragma once

/// @file
/// Image files: PNG, JPEG and BMP in, PNG out. Mirrors vqvae_gluon/data/image_file.py.
///
///     vqvae::Image image = vqvae::read_image("digit.jpg", 1, 28, 28);    // gray, stretched to 28 x 28
///     image.bytes[28 * row + column];
///     vqvae::write_png("digit.png", image);
///
/// Threads: any thread may call these functions at any time; after compute_in_this_thread() only that thread may read
/// images, because MXNet decodes them. Images are plain values. For size limits see docs/image-files.md.

#include <cctype>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

#include "vqvae/colour.hpp"
#include "vqvae/detail/byte_array.hpp"
#include "vqvae/detail/image_decoding.hpp"
#include "vqvae/detail/image_format.hpp"
#include "vqvae/error.hpp"
#include "vqvae/files.hpp"
#include "vqvae/shape.hpp"

namespace vqvae {

/// An image of 1 or 3 channels.
struct Image {
  unsigned channels = 0;  ///< 1: gray; 3: red, green and blue
  unsigned height = 0;    ///< rows
  unsigned width = 0;     ///< columns
  std::string bytes;      ///< channel by channel, row by row
};

/// Read an image file as `channels` x `height` x `width` bytes.
///
/// The image is turned upright according to its Exif orientation. A colour image becomes grayscale for one channel, and
/// an image of another size is stretched; with `strict` both are errors. Before anything else, an alpha channel that is
/// not 255 everywhere is flattened onto `background`, "black", "white" or "#rrggbb": (alpha * colour + (255 - alpha) *
/// background + 127) / 255. Throws Error for a missing or damaged file, a file of another kind, 16 bits per channel,
/// alpha without a background, and a background that is not a colour.
inline Image read_image(const std::filesystem::path& file, unsigned channels, unsigned height, unsigned width,
                        bool strict = false, const std::string& background = "") {
  const std::optional<Colour> colour = parse_background(background);
  const std::string path = file.string(), content = read_file(file);
  if (channels != 1 && channels != 3) {
    throw Error(path + ": was asked for with " + std::to_string(channels) + " channels: image files have 1 or 3");
  }
  if (height == 0 || width == 0) throw Error(path + ": was asked for without pixels, as " + to_string({height, width}));
  try {
    const auto [plain, orientation] = detail::prepare(content, colour);
    if (strict && channels == 1 && detail::has_colour(detail::decode_image(plain, 3).bytes())) {
      throw detail::ImageFault("is a colour image, the model takes grayscale; convert it or leave out --strict");
    }
    detail::ByteArray pixels = detail::turn(detail::decode_image(plain, channels), orientation, channels);
    const Shape shape = pixels.shape();
    if (shape[0] != height || shape[1] != width) {
      if (strict) {
        throw detail::ImageFault("has " + std::to_string(shape[1]) + "x" + std::to_string(shape[0]) +
                                 " pixels, the model takes " + std::to_string(width) + "x" + std::to_string(height) +
                                 "; resize it or leave out --strict");
      }
      const bool shrinks = shape[0] >= height && shape[1] >= width;
      pixels = pixels.apply("_cvimresize", {{"w", std::to_string(width)},
                                            {"h", std::to_string(height)},
                                            {"interp", shrinks ? "3" : "1"}});  // area, bilinear
    }
    const std::string interleaved = pixels.bytes();
    Image image{channels, height, width, std::string(interleaved.size(), '\0')};
    const std::size_t area = std::size_t{height} * width;
    for (std::size_t i = 0; i < interleaved.size(); ++i) {
      image.bytes[i % channels * area + i / channels] = interleaved[i];
    }
    return image;
  } catch (const detail::ImageFault& fault) {
    throw Error(path + ": " + fault.what());
  }
}

/// Write an image as an uncompressed PNG file, byte for byte the same as Python's write_png.
/// Throws Error for a file name with a JPEG or BMP suffix and for a path that cannot be written.
inline void write_png(const std::filesystem::path& file, const Image& image) {
  const std::string suffix = file.extension().string();
  std::string lower = suffix;
  for (char& letter : lower) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  if (lower == ".jpg" || lower == ".jpeg" || lower == ".bmp") {
    throw Error(file.string() + ": only PNG files are written; let the name end in .png, not " + suffix);
  }
  const std::size_t area = std::size_t{image.height} * image.width;
  if ((image.channels != 1 && image.channels != 3) || area == 0 || image.bytes.size() != image.channels * area) {
    throw Error("an image was given with shape " + to_string({image.channels, image.height, image.width}) + " and " +
                std::to_string(image.bytes.size()) + " bytes: a PNG takes (1 or 3, height, width)");
  }
  std::string raw;
  for (std::size_t pixel = 0; pixel < area; ++pixel) {
    if (pixel % image.width == 0) raw += '\0';
    for (std::size_t channel = 0; channel < image.channels; ++channel) raw += image.bytes[channel * area + pixel];
  }
  write_file(file, detail::png_file(image.width, image.height, image.channels, raw));
}

}  // namespace vqvae
