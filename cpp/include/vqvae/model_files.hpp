#pragma once

/// @file
/// Where the files of a model are, and the SHA-256 that a run's manifest.json gives for each of them. Mirrors
/// vqvae_gluon/model_files/folder.py.
///
///     const vqvae::ModelFiles files = vqvae::find_model("pre-trained");    // or the folder of a run
///     const std::string graph = files.read(files.encoder() + "/model_0_newest-symbol.json");
///
/// Threads: any number of threads may read from the same object. Nothing here uses MXNet or keeps a file open.

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "vqvae/detail/json.hpp"
#include "vqvae/detail/sha256.hpp"
#include "vqvae/error.hpp"
#include "vqvae/files.hpp"

namespace vqvae {

namespace detail {

/// Return whether a name is a component's, <package>.<Component>: not a path, and not starting with a dot.
inline bool is_component(const std::string& name) {
  const auto is_letter = [](char letter) {
    return letter == '.' || letter == '_' || std::isalnum(static_cast<unsigned char>(letter)) != 0;
  };
  return name.find('.', 1) != std::string::npos && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), is_letter);
}

/// Return the sorted names of the component folders in a folder.
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

/// The files of a model, in a run's folder or on their own. A file is read whole and, if the run's manifest gives
/// another SHA-256 for it, refused before it is parsed.
class ModelFiles {
 public:
  /// `model` contains a folder for each component: those named by the run's manifest or, without one,
  /// `<package>.Encoder` and `<package>.Decoder`. Throws Error for a damaged manifest.
  explicit ModelFiles(const std::filesystem::path& model) : model_(model) {
    const std::filesystem::path folder = model.has_filename() ? model : model.parent_path();
    name_ = folder.filename().string();
    const std::filesystem::path path = folder.parent_path() / "manifest.json";
    std::optional<detail::Json> manifest;
    if (std::filesystem::exists(path)) {
      manifest = detail::parse_json(read_file(path));
      read_digests(path, manifest ? detail::find(&*manifest, "files") : nullptr);
    }
    find_components(manifest ? detail::find(&*manifest, "components") : nullptr);
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

  /// The folder that contains the component folders.
  const std::filesystem::path& folder() const { return model_; }
  /// The name of the encoder's folder, such as vqvae.Encoder; empty if there is no model.
  const std::string& encoder() const { return encoder_; }
  /// The name of the decoder's folder, such as vqvae.Decoder; empty if there is no model.
  const std::string& decoder() const { return decoder_; }
  /// The name of the prior's folder, such as vqvae.Prior; empty if there is none.
  std::string prior() const {
    const std::string name = encoder_.substr(0, encoder_.rfind('.')) + ".Prior";
    return holds(name) ? name : "";
  }

 private:
  void read_digests(const std::filesystem::path& path, const detail::Json* files) {
    if (files == nullptr || !files->is_object()) throw Error(path.string() + ": is damaged or no JSON");
    for (const auto& entry : files->items()) {
      digests_[entry.key()] = entry.value().is_string() ? entry.value().get<std::string>() : "";
    }
  }

  void find_components(const detail::Json* named) {
    const auto name = [&](const char* part) -> std::string {
      const std::string text = detail::text_of(named, part);
      return detail::is_component(text) && holds(text) ? text : "";
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
      if (found.size() <= ending.size() || found.compare(found.size() - ending.size(), ending.size(), ending) != 0) {
        continue;
      }
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
    if (detail::components_in(candidate).empty()) continue;  // then a manifest beside it is not this model's either
    ModelFiles files(candidate);
    if (!files.encoder().empty()) return files;
  }
  std::error_code fault;
  if (!std::filesystem::exists(folder, fault) && !fault) {
    throw Error(folder.string() +
                ": holds no exported model, for there is no such folder; give that of a vqvae train run or of a model");
  }
  throw Error(folder.string() +
              ": holds no exported model (vqvae.Encoder and vqvae.Decoder); train one with vqvae train");
}

}  // namespace vqvae
