#pragma once

/// Where a model's files lie, and the SHA-256 that a run's manifest.json gives for each of them. Mirrors vqvae_gluon/deploy/artifacts.py.

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "vqvae/error.hpp"
#include "vqvae/files.hpp"
#include "vqvae/json.hpp"

namespace vqvae {

namespace detail {

/// Return the SHA-256 of bytes in hexadecimal. Source: FIPS 180-4.
inline std::string sha256(const std::string& content) {
  constexpr std::array<std::uint32_t, 64> constants{
      0x428a2f98U, 0x71374491U, 0xb5c0fbcfU, 0xe9b5dba5U, 0x3956c25bU, 0x59f111f1U, 0x923f82a4U, 0xab1c5ed5U,
      0xd807aa98U, 0x12835b01U, 0x243185beU, 0x550c7dc3U, 0x72be5d74U, 0x80deb1feU, 0x9bdc06a7U, 0xc19bf174U,
      0xe49b69c1U, 0xefbe4786U, 0x0fc19dc6U, 0x240ca1ccU, 0x2de92c6fU, 0x4a7484aaU, 0x5cb0a9dcU, 0x76f988daU,
      0x983e5152U, 0xa831c66dU, 0xb00327c8U, 0xbf597fc7U, 0xc6e00bf3U, 0xd5a79147U, 0x06ca6351U, 0x14292967U,
      0x27b70a85U, 0x2e1b2138U, 0x4d2c6dfcU, 0x53380d13U, 0x650a7354U, 0x766a0abbU, 0x81c2c92eU, 0x92722c85U,
      0xa2bfe8a1U, 0xa81a664bU, 0xc24b8b70U, 0xc76c51a3U, 0xd192e819U, 0xd6990624U, 0xf40e3585U, 0x106aa070U,
      0x19a4c116U, 0x1e376c08U, 0x2748774cU, 0x34b0bcb5U, 0x391c0cb3U, 0x4ed8aa4aU, 0x5b9cca4fU, 0x682e6ff3U,
      0x748f82eeU, 0x78a5636fU, 0x84c87814U, 0x8cc70208U, 0x90befffaU, 0xa4506cebU, 0xbef9a3f7U, 0xc67178f2U};
  std::array<std::uint32_t, 8> state{0x6a09e667U, 0xbb67ae85U, 0x3c6ef372U, 0xa54ff53aU,
                                     0x510e527fU, 0x9b05688cU, 0x1f83d9abU, 0x5be0cd19U};
  const auto rotate = [](std::uint32_t value, unsigned count) { return value >> count | value << (32U - count); };
  std::string padded = content + '\x80';
  padded.append((120 - padded.size() % 64) % 64, '\0');
  const std::uint64_t bits = std::uint64_t{content.size()} * 8;
  for (int shift = 56; shift >= 0; shift -= 8) padded += static_cast<char>(bits >> shift & 0xFFU);
  for (std::size_t start = 0; start < padded.size(); start += 64) {
    std::array<std::uint32_t, 64> words{};
    for (std::size_t i = 0; i < 64; ++i) {
      words[i / 4] = words[i / 4] << 8 | static_cast<unsigned char>(padded[start + i]);
    }
    for (std::size_t i = 16; i < 64; ++i) {
      const std::uint32_t low = words[i - 15], high = words[i - 2];
      words[i] = words[i - 16] + (rotate(low, 7) ^ rotate(low, 18) ^ low >> 3) + words[i - 7] +
                 (rotate(high, 17) ^ rotate(high, 19) ^ high >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t first =
          h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + constants[i] + words[i];
      const std::uint32_t second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g;
      g = f;
      f = e;
      e = d + first;
      d = c;
      c = b;
      b = a;
      a = first + second;
    }
    const std::array<std::uint32_t, 8> added{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) state[i] += added[i];
  }
  std::string text;
  for (const std::uint32_t word : state) {
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 0xFU];
  }
  return text;
}

/// Return whether a name is that of a component, <package>.<Component>: no path, and nothing that begins with a dot.
inline bool is_component(const std::string& name) {
  const auto is_letter = [](char letter) {
    return letter == '.' || letter == '_' || std::isalnum(static_cast<unsigned char>(letter)) != 0;
  };
  return name.find('.', 1) != std::string::npos && name.front() != '.' && std::all_of(name.begin(), name.end(), is_letter);
}

/// Return the names of the folders of components in a folder, sorted.
inline std::vector<std::string> components_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (is_component(name) && entry.is_directory(error)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace detail

/// The files of a model, in the folder of a run or alone. A file is read whole and, if the run's manifest gives another
/// SHA-256 for it, refused before anything parses it.
class ModelFiles {
 public:
  /// `model` holds a folder for each component: those that the run's manifest names or, without, <package>.Encoder and
  /// <package>.Decoder. Throws Error for a damaged manifest.
  explicit ModelFiles(const std::filesystem::path& model) : model_(model) {
    const std::filesystem::path folder = model.has_filename() ? model : model.parent_path();
    name_ = folder.filename().string();
    const std::filesystem::path path = folder.parent_path() / "manifest.json";
    std::optional<detail::Json> manifest;
    if (std::filesystem::exists(path)) {
      manifest = detail::JsonReader(read_file(path)).read();
      read_digests(path, manifest);
    }
    find_components(manifest ? manifest->find("components") : nullptr);
  }

  /// Return the content of a file such as vqvae.Encoder/model_0-symbol.json.
  std::string read(const std::filesystem::path& file) const {
    const std::string content = read_file(model_ / file);
    const auto known = digests_.find(name_ + "/" + file.generic_string());
    if (known != digests_.end() && known->second != detail::sha256(content)) {
      throw Error((model_ / file).string() +
                  ": is not the file that manifest.json names (SHA-256 differs); export it again");
    }
    return content;
  }

  const std::filesystem::path& folder() const { return model_; }
  /// The folders of the components, such as vqvae.Encoder; empty if there is no model.
  const std::string& encoder() const { return encoder_; }
  const std::string& decoder() const { return decoder_; }
  /// The folder of the prior, such as vqvae.Prior; empty if there is none.
  std::string prior() const {
    const std::string name = encoder_.substr(0, encoder_.rfind('.')) + ".Prior";
    return holds(name) ? name : "";
  }

 private:
  void read_digests(const std::filesystem::path& path, const std::optional<detail::Json>& manifest) {
    const detail::Json* const files = manifest ? manifest->find("files") : nullptr;
    if (files == nullptr || files->kind != detail::Json::Kind::object) {
      throw Error(path.string() + ": is damaged or no JSON");
    }
    for (std::size_t i = 0; i < files->names.size(); ++i) {
      const bool is_text = files->items[i].kind == detail::Json::Kind::string;
      digests_[files->names[i]] = is_text ? files->items[i].text : "";
    }
  }

  void find_components(const detail::Json* named) {
    const auto name = [&](const char* part) -> std::string {
      const detail::Json* const text = named ? named->find(part) : nullptr;
      const bool is_name = text && text->kind == detail::Json::Kind::string && detail::is_component(text->text);
      return is_name && holds(text->text) ? text->text : "";
    };
    const std::string encoder = name("encoder"), decoder = name("decoder");
    if (!encoder.empty() && !decoder.empty()) {
      encoder_ = encoder;
      decoder_ = decoder;
      return;
    }
    std::string several;
    for (const std::string& found : detail::components_in(model_)) {
      const std::string ending = ".Encoder";
      if (found.size() <= ending.size() || found.compare(found.size() - ending.size(), ending.size(), ending) != 0) continue;
      const std::string partner = found.substr(0, found.size() - ending.size()) + ".Decoder";
      if (!holds(partner)) continue;
      several += (several.empty() ? "" : ", ") + found;
      encoder_ = found;
      decoder_ = partner;
    }
    if (several != encoder_) {
      throw Error(model_.string() + ": holds several models (" + several + "); leave one of them there");
    }
  }

  bool holds(const std::string& component) const {
    std::error_code error;
    return std::filesystem::is_directory(model_ / component, error);
  }

  std::filesystem::path model_;
  std::string name_, encoder_, decoder_;
  std::map<std::string, std::string> digests_;
};

/// Return the files of the model in `folder` or its subfolder model. Throws Error if there is none, or more than one.
inline ModelFiles find_model(const std::filesystem::path& folder) {
  for (const auto& candidate : {folder, folder / "model"}) {
    if (detail::components_in(candidate).empty()) continue;  // nor is what lies beside it a manifest
    ModelFiles files(candidate);
    if (!files.encoder().empty()) return files;
  }
  throw Error(folder.string() +
              ": holds no exported model (vqvae.Encoder and vqvae.Decoder); train one with vqvae train");
}

}  // namespace vqvae
