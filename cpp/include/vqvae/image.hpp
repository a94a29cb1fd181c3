#pragma once

/// Image files: PNG, JPEG and BMP in, PNG out. Mirrors vqvae_gluon/data/image_file.py.

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "vqvae/error.hpp"
#include "vqvae/files.hpp"
#include "vqvae/image_format.hpp"
#include "vqvae/mxnet.hpp"

namespace vqvae {

/// Bytes in channel, row, column order; 1 or 3 channels.
struct Image {
  unsigned channels = 0, height = 0, width = 0;
  std::string bytes;
};

/// Red, green and blue.
using Colour = std::array<unsigned char, 3>;

/// Return the colour that a text is, "black", "white" or "#rrggbb", or none for an empty one.
/// Throws Error for any other text.
inline std::optional<Colour> parse_background(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const std::string digits = text == "black" ? "#000000" : text == "white" ? "#ffffff" : text;
  if (digits.size() != 7 || digits[0] != '#' ||
      digits.find_first_not_of("0123456789abcdefABCDEF", 1) != std::string::npos) {
    throw Error("background was given as '" + text + "': it must be black, white or #rrggbb");
  }
  Colour colour{};
  const unsigned long number = std::stoul(digits.substr(1), nullptr, 16);
  for (std::size_t i = 0; i < 3; ++i) colour[i] = static_cast<unsigned char>(number >> (16 - 8 * i) & 0xFFU);
  return colour;
}

namespace detail {

/// Return the pixels of an image file, rows x columns x channels.
inline ByteArray decode_image(const std::string& content, unsigned channels) {
  const ByteArray encoded(content, {static_cast<unsigned>(content.size())});
  try {
    ByteArray pixels = encoded.apply("_cvimdecode", {{"flag", channels == 3 ? "1" : "0"}});
    pixels.bytes();  // operators run later; this waits and reports
    return pixels;
  } catch (const Error&) {
    throw ImageFault(damaged);
  }
}

inline bool has_colour(const std::string& rgb) {
  for (std::size_t i = 0; i + 2 < rgb.size(); i += 3) {
    if (rgb[i] != rgb[i + 1] || rgb[i] != rgb[i + 2]) return true;
  }
  return false;
}

inline bool is_all(const std::string& bytes, char byte) { return bytes.find_first_not_of(byte) == std::string::npos; }

/// Let a background show through a pixel of three colours; throw ImageFault if there is none.
inline void flatten(char* pixel, char alpha, const std::optional<Colour>& background) {
  if (!background) {
    throw ImageFault("has an alpha channel; flatten it with --background black, white or #rrggbb");
  }
  const unsigned opaque = static_cast<unsigned char>(alpha);
  for (std::size_t i = 0; i < 3; ++i) {
    const unsigned colour = static_cast<unsigned char>(pixel[i]);
    pixel[i] = static_cast<char>((opaque * colour + (255 - opaque) * (*background)[i] + 127) / 255);
  }
}

/// Return the alpha channel of a PNG file, a byte a pixel, or nothing where it has none.
inline std::string alpha_of(const Png& png) {
  const int kind = png.colour_type();
  if (kind == 4 || kind == 6 || (kind == 3 && !png.transparency.empty())) return decode_image(png.alpha(), 1).bytes();
  if (png.transparency.empty()) return "";
  const std::string colours = decode_image(png.plain, 3).bytes(), key = png.key();
  std::string alpha;
  for (std::size_t i = 0; i < colours.size(); i += 3) alpha += colours.compare(i, 3, key) == 0 ? '\0' : '\xff';
  return alpha;
}

/// Return what is decoded of an image file, which has no alpha, and how its pixels are to be turned then.
inline std::pair<std::string, int> prepare(std::string content, const std::optional<Colour>& background) {
  if (begins_with(content, png_signature)) {
    const Png png = read_png(content);
    const std::string alpha = alpha_of(png);
    if (is_all(alpha, '\xff')) return {png.plain, png.orientation()};
    const ByteArray decoded = decode_image(png.plain, 3);
    const std::size_t height = decoded.shape()[0], width = decoded.shape()[1];
    std::string colours = decoded.bytes(), rows;
    for (std::size_t i = 0; i < alpha.size(); ++i) flatten(&colours[3 * i], alpha[i], background);
    for (std::size_t row = 0; row < height; ++row) rows += '\0' + colours.substr(row * width * 3, width * 3);
    return {png_file(static_cast<unsigned>(width), static_cast<unsigned>(height), 3, rows), png.orientation()};
  }
  if (begins_with(content, jpeg_signature)) {
    check_jpeg(content);
    // MXNet reserves the pixels of a JFIF file before it decodes and, where OpenCV refuses the header,
    // returns them uninitialised. An empty comment hides the JFIF mark and so takes the checked way, on which
    // OpenCV turns the pixels.
    return {content.insert(2, std::string("\xff\xfe\x00\x02", 4)), 1};
  }
  if (begins_with(content, "BM")) {
    const auto [start, end] = read_bmp(content);
    std::string alpha;
    for (std::size_t i = start; i < end; i += 4) alpha += content[i + 3];
    if (is_all(alpha, '\0') || is_all(alpha, '\xff')) return {content, 1};  // all 0: the byte is unused
    std::optional<Colour> reversed = background;
    if (reversed) std::swap((*reversed)[0], (*reversed)[2]);
    for (std::size_t i = start; i < end; i += 4) flatten(&content[i], content[i + 3], reversed);
    return {content, 1};
  }
  throw foreign_fault(content);
}

/// Return pixels upright: Exif's orientation is in [1, 8], from 5 on it exchanges the sides.
inline ByteArray turn(ByteArray pixels, int orientation, unsigned channels) {
  if (orientation == 1) return pixels;
  const Shape shape = pixels.shape();
  const std::string bytes = pixels.bytes();
  const bool exchanged = orientation >= 5;
  const unsigned height = shape[exchanged ? 1 : 0], width = shape[exchanged ? 0 : 1];
  const bool upside_down = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool mirrored = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  std::string turned;
  for (std::size_t row = 0; row < height; ++row) {
    for (std::size_t column = 0; column < width; ++column) {
      const std::size_t y = upside_down ? height - 1 - row : row, x = mirrored ? width - 1 - column : column;
      turned.append(bytes, (exchanged ? x * height + y : y * width + x) * channels, channels);
    }
  }
  return ByteArray(turned, {height, width, channels});
}

}  // namespace detail

/// Read an image file as `channels` x `height` x `width` bytes.
///
/// It is turned upright as Exif says. A colour image becomes grayscale for one channel, another size is stretched; with
/// `strict` both are errors. An alpha channel that is not 255 everywhere is flattened onto `background`, "black",
/// "white" or "#rrggbb": (alpha * colour + (255 - alpha) * background + 127) / 255, before anything else.
/// Throws Error for a missing, damaged or foreign file, 16 bits per channel, alpha without a background, and a
/// background that is no colour.
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
    ByteArray pixels = detail::turn(detail::decode_image(plain, channels), orientation, channels);
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

/// Write an image as a PNG file, uncompressed, in the very bytes that Python's write_png makes.
/// Throw Error for a name that says JPEG or BMP and for an unwritable path.
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
