#pragma once

/// @file
/// The exception type of the library.
///
///     try {
///       vqvae::Codec codec("no/model");
///     } catch (const vqvae::Error& error) {
///       std::cerr << error.what() << "\n";    // no/model: holds no exported model (...)
///     }
///
/// Running out of memory throws std::bad_alloc.

#include <stdexcept>
#include <string>

namespace vqvae {

/// A wrong input or file. The message is one sentence that says what was given, what was expected and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace vqvae
