#pragma once

/// @file
/// The one type of error.
///
///     try {
///       vqvae::Codec codec("no/model");
///     } catch (const vqvae::Error& error) {
///       std::cerr << error.what() << "\n";    // no/model: holds no exported model (...)
///     }
///
/// Lack of memory is std::bad_alloc.

#include <stdexcept>
#include <string>

namespace vqvae {

/// A wrong input or file. The message is one sentence: what was given, what was expected, what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace vqvae
