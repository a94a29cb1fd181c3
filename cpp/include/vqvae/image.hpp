#pragma once

/// Image files: PNG, JPEG and BMP in, PNG out. Mirrors vqvae_gluon/data/image_file.py.

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "vqvae/error.hpp"
#include "vqvae/files.hpp"
#include "vqvae/mxnet.hpp"

namespace vqvae {

/// Bytes in channel, row, column order; 1 or 3 channels.
struct Image {
  unsigned channels = 0, height = 0, width = 0;
  std::string bytes;
};

namespace detail {

inline std::uint32_t crc32(const std::string& bytes) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> entries{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1U ? 0xEDB88320U : 0U);
      entries[i] = value;
    }
    return entries;
  }();
  std::uint32_t value = 0xFFFFFFFFU;
  for (const char byte : bytes) value = table[(value ^ static_cast<unsigned char>(byte)) & 0xFFU] ^ (value >> 8);
  return ~value;
}

inline std::uint32_t adler32(const std::string& bytes) {
  std::uint32_t low = 1, high = 0;
  for (const char byte : bytes) {
    low = (low + static_cast<unsigned char>(byte)) % 65521U;
    high = (high + low) % 65521U;
  }
  return high << 16 | low;
}

inline std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xFFU);
  return bytes;
}

inline std::string little_endian_16(std::size_t value) {
  return {static_cast<char>(value & 0xFFU), static_cast<char>(value >> 8 & 0xFFU)};
}

inline std::uint32_t read_number(const std::string& bytes, std::size_t start, int count, bool big) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[start + static_cast<std::size_t>(big ? i : count - 1 - i)]);
    value = value << 8 | byte;
  }
  return value;
}

enum class Fault { none, damaged, large, sixteen_bits, alpha };

const std::string png_signature = "\x89PNG\r\n\x1a\n";

const std::string jpeg_signature = "\xff\xd8\xff";
constexpr std::uint32_t png_side = 1'000'000;  // libpng's limit

/// Larger images are refused before they are decoded; the environment variable VQVAE_MAX_PIXELS sets another limit.
inline std::int64_t max_pixels() {
  const char* const variable = std::getenv("VQVAE_MAX_PIXELS");
  if (variable == nullptr) return 1 << 26;
  const std::string text = variable;
  const bool digits = !text.empty() && text.size() < 20 && text.find_first_not_of("0123456789") == std::string::npos;
  const std::uint64_t limit = digits ? std::stoull(text) : 0;
  if (limit < 1 || limit > 2147483647U) {
    throw Error("VQVAE_MAX_PIXELS was given as '" + text + "': it must be a whole number from 1 to 2147483647");
  }
  return static_cast<std::int64_t>(limit);
}

inline Fault size_fault(std::int64_t width, std::int64_t height) {
  if (width == 0 || height == 0) return Fault::damaged;
  return width > max_pixels() / height ? Fault::large : Fault::none;
}

inline bool png_kind_exists(int colour_type, int depth) {
  switch (colour_type) {
    case 0: return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case 3: return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case 2: case 4: case 6: return depth == 8 || depth == 16;
    default: return false;
  }
}

inline bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// Check what libpng checks before the pixels: where it refuses, MXNet returns uninitialised ones.
inline Fault png_fault(const std::string& content) {
  std::size_t end = png_signature.size();
  std::string order;
  bool transparent = false;
  while (end < content.size() && !ends_with(order, "IEND")) {
    const std::size_t start = end;
    if (content.size() - start < 12) return Fault::damaged;
    const std::size_t length = read_number(content, start, 4, true);
    if (length > content.size() - start - 12) return Fault::damaged;
    const std::string name = content.substr(start + 4, 4);
    end = start + 12 + length;
    if (read_number(content, end - 4, 4, true) != crc32(content.substr(start + 4, 4 + length))) return Fault::damaged;
    if (name == "PLTE" && (length % 3 != 0 || length < 3 || length > 768)) return Fault::damaged;
    transparent = transparent || name == "tRNS";
    const bool critical = name[0] >= 'A' && name[0] <= 'Z';
    if (critical && !(name == "IDAT" && ends_with(order, "IDAT"))) order += name;
  }
  const bool palette = order == "IHDRPLTEIDATIEND";
  if ((!palette && order != "IHDRIDATIEND") || read_number(content, 8, 4, true) != 13) return Fault::damaged;
  const std::uint32_t width = read_number(content, 16, 4, true), height = read_number(content, 20, 4, true);
  const int depth = content[24], colour_type = content[25];
  if (!png_kind_exists(colour_type, depth) || content[26] != 0 || content[27] != 0) return Fault::damaged;
  if (content[28] != 0 && content[28] != 1) return Fault::damaged;
  if ((colour_type == 3 && !palette) || ((colour_type == 0 || colour_type == 4) && palette)) return Fault::damaged;
  if (width > png_side || height > png_side) return Fault::damaged;
  if (const Fault fault = size_fault(width, height); fault != Fault::none) return fault;
  if (depth == 16) return Fault::sixteen_bits;
  return transparent || colour_type == 4 || colour_type == 6 ? Fault::alpha : Fault::none;
}

inline Fault jpeg_fault(const std::string& content) {
  // 0xFFD9 ends a JPEG, and no compressed data can hold it.
  const std::size_t end = content.rfind("\xff\xd9"), scan = content.rfind("\xff\xda");
  if (end == std::string::npos || scan == std::string::npos || end < scan) return Fault::damaged;
  std::size_t place = 2;
  while (place + 9 <= content.size() && content[place] == '\xff') {
    const auto marker = static_cast<unsigned char>(content[place + 1]);
    const std::size_t length = read_number(content, place + 2, 2, true);
    if (marker == 0xFFU) {  // a filler before a marker
      ++place;
    } else if (marker >= 0xC0U && marker <= 0xCFU && marker != 0xC4U && marker != 0xC8U && marker != 0xCCU) {
      // The frame's header: the size is in it.
      const std::int64_t height = read_number(content, place + 5, 2, true), width = read_number(content, place + 7, 2, true);
      return size_fault(width, height);
    } else if (marker == 0xDAU || length < 2) {
      break;
    } else {
      place += 2 + length;
    }
  }
  return Fault::damaged;
}

inline Fault bmp_fault(const std::string& content) {
  if (content.size() < 54) return Fault::damaged;
  const auto magnitude = [&](std::size_t start) {
    return std::abs(static_cast<std::int64_t>(static_cast<std::int32_t>(read_number(content, start, 4, false))));
  };
  const std::int64_t bits = read_number(content, 28, 2, false), width = magnitude(18), height = magnitude(22);
  const bool known = bits == 1 || bits == 4 || bits == 8 || bits == 24 || bits == 32;
  if (read_number(content, 14, 4, false) < 40 || read_number(content, 30, 4, false) != 0 || !known) {
    return Fault::damaged;
  }
  if (const Fault fault = size_fault(width, height); fault != Fault::none) return fault;
  const std::int64_t row = (width * bits + 31) / 32 * 4;
  const auto size = static_cast<std::int64_t>(content.size());
  if (std::int64_t{read_number(content, 10, 4, false)} + row * height > size) return Fault::damaged;
  return bits == 32 ? Fault::alpha : Fault::none;
}

inline void check_image(const std::string& path, const std::string& content) {
  Fault fault = Fault::none;
  if (content.rfind(png_signature, 0) == 0) {
    fault = png_fault(content);
  } else if (content.rfind(jpeg_signature, 0) == 0) {
    fault = jpeg_fault(content);
  } else if (content.rfind("BM", 0) == 0) {
    fault = bmp_fault(content);
  } else {
    throw Error(path + ": is not a PNG, JPEG or BMP image");
  }
  if (fault == Fault::damaged) throw Error(path + ": the image is truncated, damaged or of an unsupported kind");
  if (fault == Fault::large) {
    throw Error(path + ": has more than " + std::to_string(max_pixels()) +
                " pixels; set VQVAE_MAX_PIXELS to allow more");
  }
  if (fault == Fault::sixteen_bits) throw Error(path + ": has 16 bits per channel; save it with 8");
  if (fault == Fault::alpha) throw Error(path + ": has an alpha channel; flatten it onto a background");
}

inline ByteArray decode_image(const std::string& path, const std::string& content, unsigned channels) {
  std::string checked = content;
  if (content.rfind(jpeg_signature, 0) == 0) {
    // MXNet reserves the pixels of a JFIF file before it decodes and, where OpenCV refuses the header,
    // returns them uninitialised. An empty comment hides the JFIF mark and so takes the checked way.
    checked.insert(2, std::string("\xff\xfe\x00\x02", 4));
  }
  const ByteArray encoded(checked, {static_cast<unsigned>(checked.size())});
  try {
    ByteArray pixels = encoded.apply("_cvimdecode", {{"flag", channels == 3 ? "1" : "0"}});
    pixels.bytes();  // operators run later; this waits and reports
    return pixels;
  } catch (const Error&) {
    throw Error(path + ": the image is truncated, damaged or of an unsupported kind");
  }
}

inline bool has_colour(const std::string& rgb) {
  for (std::size_t i = 0; i + 2 < rgb.size(); i += 3) {
    if (rgb[i] != rgb[i + 1] || rgb[i] != rgb[i + 2]) return true;
  }
  return false;
}

inline std::string png_chunk(const std::string& name, const std::string& body) {
  return big_endian(static_cast<std::uint32_t>(body.size())) + name + body + big_endian(crc32(name + body));
}

inline std::string stored_deflate(const std::string& raw) {
  std::string stream = "\x78\x01";
  for (std::size_t start = 0; start < raw.size(); start += 0xFFFF) {
    const std::string block = raw.substr(start, 0xFFFF);
    stream += start + block.size() == raw.size() ? '\1' : '\0';
    stream += little_endian_16(block.size()) + little_endian_16(block.size() ^ 0xFFFFU) + block;
  }
  return stream + big_endian(adler32(raw));
}

}  // namespace detail

/// Read an image file as `channels` x `height` x `width` bytes.
///
/// A colour image becomes grayscale for one channel, another size is stretched; with `strict` both
/// are errors. Throws Error for a missing, damaged or foreign file, 16 bits per channel or alpha.
inline Image read_image(const std::filesystem::path& file, unsigned channels, unsigned height, unsigned width,
                        bool strict = false) {
  const std::string path = file.string(), content = read_file(file);
  if (channels != 1 && channels != 3) {
    throw Error(path + ": was asked for with " + std::to_string(channels) + " channels: image files have 1 or 3");
  }
  if (height == 0 || width == 0) throw Error(path + ": was asked for without pixels, as " + to_string({height, width}));
  detail::check_image(path, content);
  if (strict && channels == 1 && detail::has_colour(detail::decode_image(path, content, 3).bytes())) {
    throw Error(path + ": is a colour image, the model takes grayscale; convert it or leave out --strict");
  }
  ByteArray pixels = detail::decode_image(path, content, channels);
  const Shape shape = pixels.shape();
  if (shape[0] != height || shape[1] != width) {
    if (strict) {
      throw Error(path + ": has " + std::to_string(shape[1]) + "x" + std::to_string(shape[0]) +
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
  for (std::size_t i = 0; i < interleaved.size(); ++i) image.bytes[i % channels * area + i / channels] = interleaved[i];
  return image;
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
  std::string header = detail::big_endian(image.width) + detail::big_endian(image.height) + '\x08';
  header += image.channels == 1 ? '\0' : '\2';
  header += std::string(3, '\0');
  write_file(file, detail::png_signature + detail::png_chunk("IHDR", header) +
                       detail::png_chunk("IDAT", detail::stored_deflate(raw)) + detail::png_chunk("IEND", ""));
}

}  // namespace vqvae
