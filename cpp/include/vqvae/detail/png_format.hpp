#pragma once

/// PNG files as bytes: what is refused, what part of a file the decoder gets, and what is written.
///
/// Headers are parsed by hand, because MXNet drops alpha and returns uninitialised pixels where libpng, its decoder,
/// refuses a header; a libpng of our own would give other bits than Python's. PNG is written by hand, so that both
/// languages write the same bytes. Mirrors vqvae_gluon/data/image_format.py, which gives the reasons, message for
/// message.

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/detail/image_checks.hpp"

namespace vqvae::detail {

const std::string png_signature = "\x89PNG\r\n\x1a\n";
constexpr std::uint32_t png_side = 1'000'000;  // libpng's limit
constexpr int orientation_tag = 0x0112;        // Exif's

inline std::uint32_t crc32(const std::string& bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

inline std::uint32_t adler32(const std::string& bytes) {
  return static_cast<std::uint32_t>(::adler32_z(1, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

inline std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xFFU);
  return bytes;
}

inline std::string little_endian_16(std::size_t value) {
  return {static_cast<char>(value & 0xFFU), static_cast<char>(value >> 8 & 0xFFU)};
}

/// Return the first `size` decompressed bytes; throw ImageFault if there are fewer.
inline std::string inflate(const std::string& data, std::size_t size) {
  z_stream stream{};
  if (::inflateInit(&stream) != Z_OK) throw std::bad_alloc();
  std::string raw(size, '\0');
  std::size_t taken = 0, made = 0;
  int status = Z_OK;
  while (status == Z_OK && made < size) {  // zlib counts in 32 bits
    const auto most = [](std::size_t count) { return static_cast<uInt>(std::min<std::size_t>(count, 1U << 30)); };
    const uInt in = most(data.size() - taken), out = most(size - made);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data() + taken));
    stream.avail_in = in;
    stream.next_out = reinterpret_cast<Bytef*>(raw.data() + made);
    stream.avail_out = out;
    status = ::inflate(&stream, Z_SYNC_FLUSH);
    taken += in - stream.avail_in;
    made += out - stream.avail_out;
  }
  ::inflateEnd(&stream);
  if (made < size || (status != Z_OK && status != Z_STREAM_END)) throw ImageFault(damaged);
  return raw;
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

inline std::string png_chunk(const std::string& name, const std::string& body) {
  return big_endian(static_cast<std::uint32_t>(body.size())) + name + body + big_endian(crc32(name + body));
}

/// Return a PNG file with 1 or 3 channels of 8 bits; each row of `rows` begins with its filter number.
inline std::string png_file(std::uint32_t width, std::uint32_t height, unsigned channels, const std::string& rows,
                            bool interlaced = false) {
  std::string header = big_endian(width) + big_endian(height) + '\x08';
  header += channels == 1 ? '\0' : '\2';
  header += std::string(2, '\0');
  header += interlaced ? '\1' : '\0';
  return png_signature + png_chunk("IHDR", header) + png_chunk("IDAT", stored_deflate(rows)) + png_chunk("IEND", "");
}

/// A chunk of a PNG file: its name, its body and all of its bytes.
struct Chunk {
  std::string name, body, whole;
};

/// Reads the complete chunks of a PNG file, one after the other.
class Chunks {
 public:
  explicit Chunks(const std::string& content) : content_(content) {}

  bool next(Chunk& chunk) {
    if (start_ > content_.size() || content_.size() - start_ < 12) return false;
    const std::size_t length = read_number(content_, start_, 4, true);
    if (length > content_.size() - start_ - 12) return false;
    chunk = {content_.substr(start_ + 4, 4), content_.substr(start_ + 8, length), content_.substr(start_, length + 12)};
    start_ += length + 12;
    return true;
  }

 private:
  const std::string& content_;
  std::size_t start_ = png_signature.size();
};

/// A PNG file without its ancillary chunks, and the two of them that are used, empty if missing.
struct Png {
  std::string plain, transparency, exif;  // transparency is from tRNS, exif from eXIf

  /// 0: gray, 2: RGB, 3: palette, 4: gray and alpha, 6: RGB and alpha.
  int colour_type() const { return plain[25]; }
  /// Bits per channel, or per index into the palette.
  int depth() const { return plain[24]; }

  /// Return the transparent colour of a gray or RGB image: red, green and blue as decoded.
  std::string key() const {
    if (colour_type() == 2) return {transparency[1], transparency[3], transparency[5]};
    const unsigned largest = (1U << depth()) - 1;
    return std::string(3, static_cast<char>((static_cast<unsigned char>(transparency[1]) & largest) * (255 / largest)));
  }

  /// Return the alpha channel (for a palette, that of its colours) as a grayscale PNG file.
  /// Throws ImageFault if the compressed pixels are damaged.
  std::string alpha() const { return colour_type() == 3 ? alpha_of_palette() : alpha_of_pixels(); }

  /// Return the Exif orientation in [1, 8], found as OpenCV finds it in a JPEG; 1 if it is missing or damaged.
  int orientation() const {
    const bool big = begins_with(exif, "MM");
    if (exif.size() < 8 || (!big && !begins_with(exif, "II"))) return 1;
    const std::size_t directory = read_number(exif, 4, 4, big);
    if (directory + 2 > exif.size()) return 1;
    const std::size_t end = directory + 2 + std::size_t{12} * read_number(exif, directory, 2, big);
    for (std::size_t start = directory + 2; start < end && start + 12 <= exif.size(); start += 12) {
      if (read_number(exif, start, 2, big) != orientation_tag) continue;
      const std::uint32_t value = read_number(exif, start + 8, 2, big);
      return read_number(exif, 2, 2, big) == 42 && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
    }
    return 1;
  }

 private:
  std::string alpha_of_palette() const {
    std::string alphas = transparency, palette, file = png_signature;
    alphas.resize(std::size_t{1} << depth(), '\xff');
    for (const char alpha : alphas) palette += std::string(3, alpha);
    Chunk chunk;
    for (Chunks chunks(plain); chunks.next(chunk);) {
      file += chunk.name == "PLTE" ? png_chunk("PLTE", palette) : chunk.whole;
    }
    return file;
  }

  std::string alpha_of_pixels() const {
    // The passes of an interlaced PNG: first column, first row, column step and row step.
    static const std::vector<std::array<std::uint32_t, 4>> one{{0, 0, 1, 1}},
        adam7{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    const std::uint32_t width = read_number(plain, 16, 4, true), height = read_number(plain, 20, 4, true);
    const bool interlaced = plain[28] != 0;
    const std::size_t step = colour_type() == 4 ? 2 : 4;  // bytes per pixel
    std::vector<std::pair<std::size_t, std::size_t>> passes;
    std::size_t size = 0;
    for (const auto& [x, y, right, down] : interlaced ? adam7 : one) {
      const std::size_t rows = (height + down - 1 - y) / down, columns = (width + right - 1 - x) / right;
      if (rows == 0 || columns == 0) continue;
      passes.emplace_back(rows, 1 + step * columns);
      size += rows * (1 + step * columns);
    }
    std::string data, gray;
    Chunk chunk;
    for (Chunks chunks(plain); chunks.next(chunk);) data += chunk.name == "IDAT" ? chunk.body : "";
    const std::string raw = inflate(data, size);
    // A row is a filter number and its pixels. Filters predict a byte from the same byte of other pixels, so the filter
    // number and the last byte of each pixel make a filtered row of gray.
    std::size_t start = 0;
    for (const auto& [rows, length] : passes) {
      for (std::size_t row = 0; row < rows; ++row, start += length) {
        for (std::size_t place = 0; place < length; place += step) gray += raw[start + place];
      }
    }
    return png_file(width, height, 1, gray, interlaced);
  }
};

inline bool png_kind_exists(int colour_type, int depth) {
  switch (colour_type) {
    case 0: return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case 3: return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case 2:
    case 4:
    case 6: return depth == 8 || depth == 16;
    default: return false;
  }
}

/// Check what libpng checks before it decodes: where libpng refuses a file, MXNet returns uninitialised pixels.
/// Throws ImageFault for a file that is damaged or too large, or has 16 bits per channel.
inline Png read_png(const std::string& content) {
  Png png;
  std::string order, place;  // names of all critical chunks, and of those before tRNS
  std::size_t colours = 0;
  bool has_transparency = false, has_exif = false;
  png.plain = png_signature;
  Chunk chunk;
  for (Chunks chunks(content); !ends_with(order, "IEND") && chunks.next(chunk);) {
    const std::size_t length = chunk.body.size();
    if (read_number(chunk.whole, length + 8, 4, true) != crc32(chunk.name + chunk.body)) throw ImageFault(damaged);
    if (chunk.name == "tRNS") {
      if (has_transparency) throw ImageFault(damaged);
      has_transparency = true;
      png.transparency = chunk.body;
      place = order;
    }
    if (chunk.name == "PLTE") {
      if (length % 3 != 0 || length < 3 || length > 768) throw ImageFault(damaged);
      colours = length / 3;
    }
    if (chunk.name == "eXIf" && !has_exif) {
      has_exif = true;
      png.exif = chunk.body;
    }
    if (chunk.name[0] < 'A' || chunk.name[0] > 'Z') continue;
    png.plain += chunk.whole;
    if (!(chunk.name == "IDAT" && ends_with(order, "IDAT"))) order += chunk.name;
  }
  const bool palette = order == "IHDRPLTEIDATIEND";
  if ((!palette && order != "IHDRIDATIEND") || content.compare(8, 8, std::string("\0\0\0\rIHDR", 8)) != 0) {
    throw ImageFault(damaged);
  }
  const std::uint32_t width = read_number(content, 16, 4, true), height = read_number(content, 20, 4, true);
  const int depth = static_cast<unsigned char>(content[24]), colour_type = static_cast<unsigned char>(content[25]);
  if (!png_kind_exists(colour_type, depth) || content[26] != 0 || content[27] != 0) throw ImageFault(damaged);
  if (content[28] != 0 && content[28] != 1) throw ImageFault(damaged);
  if ((colour_type == 3 && !palette) || ((colour_type == 0 || colour_type == 4) && palette)) throw ImageFault(damaged);
  if (width > png_side || height > png_side) throw ImageFault(damaged);
  check_size(width, height);
  if (depth == 16) throw ImageFault("has 16 bits per channel; save it with 8");
  if (has_transparency) {
    const std::size_t length = png.transparency.size();
    const bool fits = colour_type == 3 ? length >= 1 && length <= colours
                                       : (colour_type == 0 && length == 2) || (colour_type == 2 && length == 6);
    if (!fits || place + "IDATIEND" != order) throw ImageFault(damaged);
  }
  return png;
}

}  // namespace vqvae::detail
