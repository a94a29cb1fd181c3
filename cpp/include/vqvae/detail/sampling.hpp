#pragma once

/// How a code is sampled from probabilities, in the same way in both languages, and the messages for settings out of
/// range. Mirrors vqvae_gluon/sampling.py.

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "vqvae/error.hpp"

namespace vqvae::detail {

constexpr std::size_t most_images = 1'000'000;
constexpr double coldest = 1e-3, hottest = 1e3;

/// Return whether a temperature is valid: 0, or from `coldest` to `hottest`.
inline bool is_temperature(double value) { return value == 0 || (value >= coldest && value <= hottest); }

/// Error messages for settings out of range; `given` is the value as it was given.
inline std::string count_fault(const std::string& given) {
  return "count was given as " + given + ": it must be from 1 to " + std::to_string(most_images);
}
inline std::string seed_fault(const std::string& given) {
  return "seed was given as " + given + ": it must be from 0 to 4294967295";
}
inline std::string temperature_fault(const std::string& given) {
  return "temperature was given as " + given + ": it must be 0 (always the likeliest code) or from 0.001 to 1000";
}
inline std::string top_k_fault(const std::string& given, unsigned num_embeddings) {
  return "top-k was given as " + given + ": it must be from 1 to " + std::to_string(num_embeddings) +
         ", or 0 for all codes";
}

/// Format a number as Python's format "g" does.
inline std::string in_short(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

/// Return a random number in [0, 1), the same as numpy.random.RandomState(seed).random_sample().
inline double uniform(std::mt19937& generator) {
  const auto high = static_cast<double>(generator() >> 5U), low = static_cast<double>(generator() >> 6U);
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

/// Return the code that `random`, in [0, 1), selects from `count` probabilities. Temperature 0 selects the most
/// probable code; `top_k` above 0 limits the choice to that many most probable codes. Of equal codes, the first counts.
inline int choose(const float* probabilities, std::size_t count, double random, double temperature, unsigned top_k) {
  if (!std::all_of(probabilities, probabilities + count, [](float value) { return std::isfinite(value); })) {
    throw Error("the prior gives probabilities that are no numbers: it is damaged or was badly trained");
  }
  if (temperature == 0) return static_cast<int>(std::max_element(probabilities, probabilities + count) - probabilities);
  std::vector<double> sums(probabilities, probabilities + count);
  if (top_k != 0) {
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return probabilities[a] > probabilities[b]; });
    for (std::size_t i = top_k; i < count; ++i) sums[order[i]] = 0;
  }
  for (std::size_t i = 1; i < count; ++i) sums[i] += sums[i - 1];
  const double chosen = random * sums.back();
  return static_cast<int>(std::upper_bound(sums.begin(), sums.end(), chosen) - sums.begin());
}

/// Decode percent-encoded text: "%2C" is a comma.
inline std::string unquote(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto is_digit = [&](std::size_t k) {
      return k < text.size() && std::isxdigit(static_cast<unsigned char>(text[k]));
    };
    if (text[i] == '%' && is_digit(i + 1) && is_digit(i + 2)) {
      result += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

}  // namespace vqvae::detail
