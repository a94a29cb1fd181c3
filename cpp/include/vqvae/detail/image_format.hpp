#pragma once

/// Image files as bytes: which are read and which are refused. PNG files have a header of their own.
///
/// Headers are parsed by hand, because MXNet returns uninitialised pixels where OpenCV, its decoder, refuses a header;
/// a decoder of our own (libjpeg) would give other bits than Python's. Mirrors vqvae_gluon/data/image_format.py, which
/// gives the reasons, message for message.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "vqvae/detail/image_checks.hpp"
#include "vqvae/detail/png_format.hpp"

namespace vqvae::detail {

const std::string jpeg_signature = "\xff\xd8\xff";

/// Throw ImageFault for a JPEG file that is cut short or too large.
inline void check_jpeg(const std::string& content) {
  // 0xFFD9 ends a JPEG and cannot occur in compressed data.
  const std::size_t end = content.rfind("\xff\xd9"), scan = content.rfind("\xff\xda");
  if (end == std::string::npos || scan == std::string::npos || end < scan) throw ImageFault(damaged);
  std::size_t place = 2;
  while (place + 9 <= content.size() && content[place] == '\xff') {
    const auto marker = static_cast<unsigned char>(content[place + 1]);
    const std::size_t length = read_number(content, place + 2, 2, true);
    if (marker == 0xFFU) {  // a fill byte before a marker
      ++place;
    } else if (marker >= 0xC0U && marker <= 0xCFU && marker != 0xC4U && marker != 0xC8U && marker != 0xCCU) {
      // The frame header, which holds the size.
      check_size(read_number(content, place + 7, 2, true), read_number(content, place + 5, 2, true));
      return;
    } else if (marker == 0xDAU || length < 2) {
      break;
    } else {
      place += 2 + length;
    }
  }
  throw ImageFault(damaged);
}

/// Return where the pixels (blue, green, red, alpha) of a BMP file with 32 bits per pixel begin and end; 0, 0 for other
/// depths. Throws ImageFault for a file that is damaged, too large or of an unsupported kind.
inline std::pair<std::size_t, std::size_t> read_bmp(const std::string& content) {
  const std::size_t header = content.size() < 18 ? 0 : read_number(content, 14, 4, false);
  if (header >= 12 && header < 40) throw to_convert("an OS/2 BMP file", "bmp");
  if (content.size() < 54 || header < 40) throw ImageFault(damaged);
  const auto magnitude = [&](std::size_t start) {
    return std::abs(static_cast<std::int64_t>(static_cast<std::int32_t>(read_number(content, start, 4, false))));
  };
  const std::int64_t bits = read_number(content, 28, 2, false), width = magnitude(18), height = magnitude(22);
  const std::uint32_t compression = read_number(content, 30, 4, false);
  if (compression == 1 || compression == 2) throw to_convert("a run-length encoded BMP file", "bmp");
  if (bits == 16) throw to_convert("a BMP file with 16 bits per pixel", "bmp");
  if (compression == 3) throw to_convert("a BMP file with bit fields", "bmp");
  const bool known = bits == 1 || bits == 4 || bits == 8 || bits == 24 || bits == 32;
  if (compression != 0 || !known) throw ImageFault(damaged);
  check_size(width, height);
  const std::size_t offset = read_number(content, 10, 4, false);
  const std::size_t end = offset + static_cast<std::size_t>((width * bits + 31) / 32 * 4 * height);
  if (end > content.size() || (bits == 32 && offset < 14 + header)) throw ImageFault(damaged);
  return bits == 32 ? std::make_pair(offset, end) : std::make_pair(std::size_t{0}, std::size_t{0});
}

/// Return the error for a file that is not a PNG, JPEG or BMP image.
inline ImageFault foreign_fault(const std::string& content) {
  if (begins_with(content, "RIFF") && content.size() >= 12 && content.compare(8, 4, "WEBP") == 0) {
    return to_convert("a WebP file", "webp");
  }
  if (begins_with(content, "GIF87a") || begins_with(content, "GIF89a")) return to_convert("a GIF file", "gif");
  if (begins_with(content, std::string("II*\0", 4)) || begins_with(content, std::string("MM\0*", 4))) {
    return to_convert("a TIFF file", "tiff");
  }
  const std::string kinds = "123456", spaces = " \t\n\r#";
  const std::size_t kind = content.size() >= 3 && content[0] == 'P' ? kinds.find(content[1]) : std::string::npos;
  if (kind != std::string::npos && spaces.find(content[2]) != std::string::npos) {
    const std::string letter(1, "bgp"[kind % 3]), capital(1, "BGP"[kind % 3]);
    return to_convert("a P" + capital + "M file", "p" + letter + "m");
  }
  return ImageFault("is not a PNG, JPEG or BMP image");
}

}  // namespace vqvae::detail
