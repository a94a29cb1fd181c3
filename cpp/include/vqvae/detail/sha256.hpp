#pragma once

/// SHA-256, computed by OpenSSL's libcrypto.

#include <array>
#include <cstddef>
#include <new>
#include <string>

#include <openssl/evp.h>

namespace vqvae::detail {

/// Return the SHA-256 of bytes in hexadecimal.
inline std::string sha256(const std::string& content) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (::EVP_Digest(content.data(), content.size(), digest.data(), &size, ::EVP_sha256(), nullptr) != 1) {
    throw std::bad_alloc();
  }
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4U];
    text += "0123456789abcdef"[digest[i] & 0xFU];
  }
  return text;
}

}  // namespace vqvae::detail
