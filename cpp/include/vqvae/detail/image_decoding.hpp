#pragma once

/// Decodes image files with MXNet's decoder (OpenCV's), as Python does. What the decoder drops or gets wrong is done by
/// hand: alpha, flattening onto a background, and the orientation of a PNG.

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "vqvae/colour.hpp"
#include "vqvae/detail/byte_array.hpp"
#include "vqvae/detail/image_format.hpp"
#include "vqvae/error.hpp"
#include "vqvae/shape.hpp"

namespace vqvae::detail {

/// Return the pixels of an image file, (rows, columns, channels).
inline ByteArray decode_image(const std::string& content, unsigned channels) {
  const ByteArray encoded(content, {static_cast<unsigned>(content.size())});
  try {
    ByteArray pixels = encoded.apply("_cvimdecode", {{"flag", channels == 3 ? "1" : "0"}});
    pixels.bytes();  // operators run asynchronously; this waits and reports errors
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

/// Flatten a pixel of three channels onto a background; throw ImageFault if there is no background.
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

/// Return the alpha channel of a PNG file, one byte per pixel, or an empty text if it has none.
inline std::string alpha_of(const Png& png) {
  const int kind = png.colour_type();
  if (kind == 4 || kind == 6 || (kind == 3 && !png.transparency.empty())) return decode_image(png.alpha(), 1).bytes();
  if (png.transparency.empty()) return "";
  const std::string colours = decode_image(png.plain, 3).bytes(), key = png.key();
  std::string alpha;
  for (std::size_t i = 0; i < colours.size(); i += 3) alpha += colours.compare(i, 3, key) == 0 ? '\0' : '\xff';
  return alpha;
}

/// Return an image file without alpha, for the decoder, and the Exif orientation still to apply to its pixels.
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
    // MXNet allocates the pixels of a JFIF file before it decodes and, if OpenCV refuses the header, returns them
    // uninitialised. An empty comment hides the JFIF mark and so selects the checked path, on which
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

/// Turn pixels upright: Exif's orientation is in [1, 8]; from 5 on, height and width are exchanged.
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

}  // namespace vqvae::detail
