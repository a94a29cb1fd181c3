#pragma once

/// @file
/// Colours given as text: `vqvae::parse_background("#ff8000")` is {255, 128, 0}. Plain values, usable from any thread.

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "vqvae/error.hpp"

namespace vqvae {

/// Red, green and blue.
using Colour = std::array<unsigned char, 3>;

/// Parse a colour, "black", "white" or "#rrggbb"; return nothing for an empty text.
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

}  // namespace vqvae
