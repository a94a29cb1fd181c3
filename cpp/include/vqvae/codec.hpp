#pragma once

/// @file
/// A trained VQ-VAE, loaded from the files that `vqvae train` exports: encodes images and decodes codes.
///
///     int main() {
///       vqvae::compute_in_this_thread();   // if only one thread uses MXNet; see threads.hpp
///       vqvae::Codec codec("pre-trained");
///       const vqvae::Image image = codec.read_image("digit.png");
///       const vqvae::Codes codes = codec.encode(image);              // 49 codes, each in [0, 64)
///       vqvae::write_png("reconstruction.png", codec.decode(codes));
///     }
///
/// Threads: only one thread at a time may use a codec; each thread may have its own (BatchCodec does this for you).
/// Lifetime: a codec must be destroyed before main returns, because MXNet does not outlive main. Errors are thrown as
/// vqvae::Error.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/detail/component.hpp"
#include "vqvae/detail/graph_checks.hpp"
#include "vqvae/detail/sha256.hpp"
#include "vqvae/error.hpp"
#include "vqvae/executor.hpp"
#include "vqvae/files.hpp"
#include "vqvae/image.hpp"
#include "vqvae/model_files.hpp"
#include "vqvae/parameters.hpp"
#include "vqvae/shape.hpp"
#include "vqvae/threads.hpp"

namespace vqvae {

/// The codes of an image, row by row. A code is the index of a codebook row.
using Codes = std::vector<int>;

namespace detail {

/// Return the bytes of floats as stored in memory.
inline std::string to_bytes(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// Return text with a question mark for each byte that is not printable ASCII.
inline std::string printable(std::string text) {
  for (char& byte : text) byte = byte < 0x20 || byte > 0x7e ? '?' : byte;
  return text;
}

/// Return, for each of `places` places, the row with the greatest scores[row][place] among `rows` rows. As in MXNet's
/// argmax, the first of equal scores wins, and the first NaN wins over every number.
inline Codes argmax(const float* scores, unsigned rows, std::size_t places) {
  std::vector<float> most(scores, scores + places);
  Codes codes(places);
  for (unsigned row = 1; row < rows; ++row) {
    const float* const values = scores + row * places;
    for (std::size_t i = 0; i < places; ++i) {
      const bool more = !(values[i] <= most[i]) && !std::isnan(most[i]);
      most[i] = more ? values[i] : most[i];
      codes[i] = more ? static_cast<int>(row) : codes[i];
    }
  }
  return codes;
}

}  // namespace detail

/// Encodes, decodes and reconstructs images on the CPU, up to `batch_size` at a time.
///
/// Shapes are read from the files. Results do not depend on the batch size. Move-only: using a moved-from codec throws
/// Error, and self-move changes nothing.
class Codec {
 public:
  /// Throws Error for missing or damaged files, files that do not match the run's manifest, and parameters that do not
  /// fit their graph.
  explicit Codec(const std::filesystem::path& folder, unsigned batch_size = 1)
      : Codec(folder, batch_size, detail::next_device()) {}

  /// (channels, height, width) of an image.
  const Shape& image_shape() const { return state().image_shape; }
  /// (height, width) of an image's codes.
  const Shape& codes_shape() const { return state().codes_shape; }
  /// The largest number of images computed at a time.
  unsigned batch_size() const { return state().batch_size; }
  /// K: codes are in [0, K).
  unsigned num_embeddings() const { return state().codebook.shape[0]; }

  /// The SHA-256 of the codebook (float32), which identifies the model that a set of codes belongs to.
  std::string codebook_digest() const { return detail::sha256(detail::to_bytes(state().codebook.values)); }

  /// Read an image file in the model's image shape; see vqvae::read_image.
  Image read_image(const std::filesystem::path& file, bool strict = false, const std::string& background = "") const {
    return vqvae::read_image(file, image_shape()[0], image_shape()[1], image_shape()[2], strict, background);
  }

  /// Return the encoder's input: byte / 255 in channel, row, column order. Throws Error for an image of another shape.
  std::vector<float> to_tensor(const Image& image) const {
    std::vector<float> tensor(volume(image_shape()));
    write_tensor(image, tensor.data());
    return tensor;
  }

  /// Return the codes of one image.
  Codes encode(const Image& image) { return encode(std::vector<Image>{image}).front(); }

  /// Return the image decoded from one image's codes.
  Image decode(const Codes& codes) { return decode(std::vector<Codes>{codes}).front(); }

  /// Return the codes of each image. Throws Error for an image of another shape.
  std::vector<Codes> encode(const std::vector<Image>& images) {
    State& model = state();
    std::vector<Codes> result;
    const std::size_t size = volume(model.image_shape), count = volume(model.codes_shape);
    for (std::size_t start = 0; start < images.size(); start += model.batch_size) {
      const std::size_t stop = std::min<std::size_t>(images.size(), start + model.batch_size);
      std::vector<float> input(size * model.batch_size);
      for (std::size_t i = start; i < stop; ++i) write_tensor(images[i], input.data() + (i - start) * size);
      model.encoder.forward(input);
      const std::vector<float> output = model.encoder.output();
      for (std::size_t i = 0; i < stop - start; ++i) {
        const float* const first = output.data() + i * output.size() / model.batch_size;
        result.push_back(model.gives_scores ? detail::argmax(first, model.encoder.output_shape()[1], count)
                                            : Codes(first, first + count));
      }
    }
    return result;
  }

  /// Return the image decoded from each element. Throws Error for a wrong number of codes or a code out of range.
  std::vector<Image> decode(const std::vector<Codes>& codes) {
    State& model = state();
    std::vector<Image> result;
    const std::size_t area = volume(model.codes_shape), depth = model.codebook.shape[1],
                      size = volume(model.image_shape);
    for (std::size_t start = 0; start < codes.size(); start += model.batch_size) {
      const std::size_t stop = std::min<std::size_t>(codes.size(), start + model.batch_size);
      std::vector<float> encoding(area * depth * model.batch_size);
      for (std::size_t i = start; i < stop; ++i) {
        check(codes[i]);
        float* const target = encoding.data() + (i - start) * area * depth;
        for (std::size_t place = 0; place < area; ++place) {
          const auto row = static_cast<std::size_t>(codes[i][place]);
          for (std::size_t d = 0; d < depth; ++d) target[d * area + place] = model.codebook.values[row * depth + d];
        }
      }
      model.decoder.forward(encoding);
      const std::vector<float> pixels = model.decoder.output();
      for (std::size_t i = 0; i < stop - start; ++i) {
        Image image{model.image_shape[0], model.image_shape[1], model.image_shape[2], std::string(size, '\0')};
        std::transform(pixels.data() + i * size, pixels.data() + (i + 1) * size, image.bytes.begin(), to_byte);
        result.push_back(std::move(image));
      }
    }
    return result;
  }

  /// Return decode(encode(images)).
  std::vector<Image> reconstruct(const std::vector<Image>& images) { return decode(encode(images)); }

 private:
  struct State {
    unsigned batch_size;
    bool gives_scores;  // otherwise the encoder outputs codes
    Shape image_shape, codes_shape;
    ArrayList::Array codebook;
    Executor encoder, decoder;
  };

  friend class BatchCodec;

  /// Computes on the given MXNet device.
  Codec(const std::filesystem::path& folder, unsigned batch_size, unsigned device)
      : Codec(find_model(folder), checked(batch_size), device) {}

  Codec(const ModelFiles& files, unsigned batch_size, unsigned device)
      : Codec(files, batch_size, device, detail::Component(files, files.encoder()),
              detail::Component(files, files.decoder())) {}

  Codec(const ModelFiles& files, unsigned batch_size, unsigned device, const detail::Component& encoder,
        const detail::Component& decoder)
      : Codec(files, batch_size, device, encoder, decoder, scores_of(encoder.symbol)) {}

  Codec(const ModelFiles& files, unsigned batch_size, unsigned device, const detail::Component& encoder,
        const detail::Component& decoder, const std::string& head)
      : state_(new State{batch_size,
                         head != "codes",
                         encoder.input_shape(),
                         {decoder.inputs.at("data").begin() + 2, decoder.inputs.at("data").end()},
                         find_codebook(files, encoder),
                         encoder.bind(batch_size, head, device),
                         decoder.bind(batch_size, "data", device)}) {
    const Shape& output = state_->encoder.output_shape();
    Shape expected = codes_shape();
    if (state_->gives_scores) expected = batched(output.size() == 4 ? output[1] : 0, expected);
    if (state_->codebook.shape[1] != decoder.input_shape()[0] || output != batched(batch_size, expected) ||
        state_->decoder.output_shape() != batched(batch_size, image_shape())) {
      throw Error(files.folder().string() + ": encoder and decoder are from different models");
    }
  }

  static std::string scores_of(const Symbol& encoder) {
    return encoder.has_output("codes") ? detail::find_scores(encoder.json()) : "codes";
  }

  State& state() const {
    if (!state_) throw Error("a codec was used after it was moved from");
    return *state_;
  }

  static unsigned checked(unsigned batch_size) {
    if (batch_size == 0 || batch_size > 1'000'000) {
      throw Error("the batch size was given as " + std::to_string(batch_size) + ": it must be from 1 to 1000000");
    }
    return batch_size;
  }

  static ArrayList::Array find_codebook(const ModelFiles& files, const detail::Component& encoder) {
    const std::string name = "arg:vectorquantize0_embeddings";
    if (!encoder.arrays.contains(name) || encoder.arrays.at(name).shape.size() != 2) {
      const std::filesystem::path file = files.folder() / files.encoder() / "model_0_newest-0000.params";
      throw Error(file.string() + ": holds no codebook vectorquantize0_embeddings");
    }
    return encoder.arrays.at(name);
  }

  void write_tensor(const Image& image, float* tensor) const {
    check(image);
    std::transform(image.bytes.begin(), image.bytes.end(), tensor,
                   [](char byte) { return static_cast<float>(static_cast<unsigned char>(byte)) / 255.0F; });
  }

  static char to_byte(float value) {
    // Rounds half to even, as NumPy's rint: float32 has no fractions from 2^23 to 2^24, so adding 2^23 rounds. Unlike
    // std::nearbyint, compilers vectorise it.
    constexpr float no_fractions = 8388608.0F;
    const float rounded = std::clamp(value, 0.0F, 1.0F) * 255.0F + no_fractions;
    return static_cast<char>(static_cast<int>(rounded - no_fractions));
  }

  void check(const Image& image) const {
    const Shape shape{image.channels, image.height, image.width};
    if (shape != image_shape() || image.bytes.size() != volume(shape)) {
      throw Error("an image was given with shape " + to_string(shape) + " and " + std::to_string(image.bytes.size()) +
                  " bytes: the model takes " + to_string(image_shape()));
    }
  }

  void check(const Codes& codes) const {
    if (codes.size() != volume(codes_shape())) {
      throw Error(std::to_string(codes.size()) + " codes were given: the model takes " +
                  std::to_string(volume(codes_shape())) + " an image");
    }
    for (const int code : codes) {
      if (code < 0 || static_cast<unsigned>(code) >= num_embeddings()) {
        throw Error("code " + std::to_string(code) + " was given: the model has 0 to " +
                    std::to_string(num_embeddings() - 1));
      }
    }
  }

  std::unique_ptr<State> state_;
};

/// Return three lines that describe a tensor: its shape, its range and the CRC-32 of its bytes. Python's `vqvae encode
/// --explain` prints the same.
inline std::string explain(const std::vector<float>& tensor, const Shape& shape) {
  const auto [low, high] = std::minmax_element(tensor.begin(), tensor.end());
  char range[64], checksum[16];
  std::snprintf(range, sizeof range, "%.9g to %.9g", static_cast<double>(*low), static_cast<double>(*high));
  std::snprintf(checksum, sizeof checksum, "%08x", detail::crc32(detail::to_bytes(tensor)));
  return "input shape: " + to_string(shape) + " float32\ninput range: " + range + "\ninput CRC-32: " + checksum + "\n";
}

/// Format codes as lines of `width` integers.
inline std::string format_codes(const Codes& codes, unsigned width) {
  std::string text;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    text += std::to_string(codes[i]) + ((i + 1) % width ? " " : "\n");
  }
  return text;
}

/// Parse the output of format_codes(); error messages call the source `name`. Throws Error for anything but
/// exactly as many integers in [0, K) as the model takes.
inline Codes parse_codes(const std::string& name, const std::string& text, const Codec& codec) {
  Codes codes;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const bool digits = word.size() < 10 && word.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stoul(word) >= codec.num_embeddings()) {
      throw Error(name + ": holds '" + detail::printable(word.substr(0, 20)) +
                  "', the model's codes are whole numbers from 0 to " + std::to_string(codec.num_embeddings() - 1));
    }
    codes.push_back(std::stoi(word));
  }
  const Shape& shape = codec.codes_shape();
  if (codes.size() != volume(shape)) {
    throw Error(name + ": holds " + std::to_string(codes.size()) + " codes, the model takes " +
                std::to_string(volume(shape)) + " (" + std::to_string(shape[0]) + " lines of " +
                std::to_string(shape[1]) + ")");
  }
  return codes;
}

}  // namespace vqvae
