#pragma once

#include <stdexcept>
#include <string>

namespace vqvae {

/// A wrong input or file. The message is one sentence: what was given, what was expected, what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace vqvae
