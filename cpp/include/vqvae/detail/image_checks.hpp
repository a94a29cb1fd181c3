#pragma once

/// What the readers of image files share: their error, the limit on pixels, and numbers in bytes.

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "vqvae/error.hpp"

namespace vqvae::detail {

/// What is wrong with an image file, worded to follow its path.
class ImageFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

const std::string damaged = "the image is truncated, damaged or of an unsupported kind";

inline std::uint32_t read_number(const std::string& bytes, std::size_t start, int count, bool big) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[start + static_cast<std::size_t>(big ? i : count - 1 - i)]);
    value = value << 8 | byte;
  }
  return value;
}

inline bool begins_with(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

inline bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// Return the largest number of pixels that an image may have. Larger images are refused before decoding; the
/// environment variable VQVAE_MAX_PIXELS changes the limit.
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

inline void check_size(std::int64_t width, std::int64_t height) {
  if (width == 0 || height == 0) throw ImageFault(damaged);
  if (width > max_pixels() / height) {
    throw ImageFault("has more than " + std::to_string(max_pixels()) + " pixels; set VQVAE_MAX_PIXELS to allow more");
  }
}

inline ImageFault to_convert(const std::string& kind, const std::string& suffix) {
  const std::string how = "; convert it to PNG, for example with ImageMagick: magick in." + suffix + " out.png";
  return ImageFault("is " + kind + how);
}

}  // namespace vqvae::detail
