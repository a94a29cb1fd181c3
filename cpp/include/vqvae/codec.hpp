#pragma once

/// A trained VQ-VAE as EMADL-named files: images to codes, codes to images.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/component.hpp"
#include "vqvae/error.hpp"
#include "vqvae/files.hpp"
#include "vqvae/image.hpp"
#include "vqvae/json.hpp"
#include "vqvae/manifest.hpp"
#include "vqvae/mxnet.hpp"

namespace vqvae {

using Codes = std::vector<int>;  // row by row

namespace detail {

/// Return the bytes of floats, as they lie in memory.
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

/// Return the node of an encoder whose greatest row at each place is its output `codes`, or `codes` itself where the graph
/// does not choose them as the exporter's does.
inline std::string find_likeness(const Symbol& symbol) {
  const std::optional<Json> graph = JsonReader(symbol.json()).read();  // what MXNet made of the file
  if (!graph || !symbol.has_output("codes")) return "codes";
  const std::vector<Json>& nodes = graph->find("nodes")->items;
  const auto is = [](const Json& node, const std::string& key, const std::string& text) {
    const Json* const value = node.find(key);
    return value && value->text == text;
  };
  const auto has_only = [&](const Json& node, const std::map<std::string, std::string>& wanted) {
    const Json* const settings = node.find("attrs");
    return settings && settings->items.size() == wanted.size() &&
           std::all_of(wanted.begin(), wanted.end(), [&](const auto& pair) { return is(*settings, pair.first, pair.second); });
  };
  const auto source = [&](const Json& node) { return nodes[node.find("inputs")->items[0].items[0].number().value()]; };
  for (const Json& node : nodes) {
    if (!is(node, "name", "codes") || !is(node, "op", "argmax") || !has_only(node, {{"axis", "1"}})) continue;
    const Json rows = source(node);
    if (!is(rows, "op", "slice") || !has_only(rows, {{"begin", "(None,)"}, {"end", "(None,)"}})) continue;
    if (is(source(rows), "op", "Convolution")) return rows.find("name")->text;
  }
  return "codes";
}

/// Return the most alike of `rows` rows at each of `places` places, of likeness[row][place]: of equals, the first, and of
/// all, the first that is not a number, as MXNet's argmax.
inline Codes most_alike(const float* likeness, unsigned rows, std::size_t places) {
  std::vector<float> most(likeness, likeness + places);
  Codes codes(places);
  for (unsigned row = 1; row < rows; ++row) {
    const float* const values = likeness + row * places;
    for (std::size_t i = 0; i < places; ++i) {
      const bool more = !(values[i] <= most[i]) && !std::isnan(most[i]);
      most[i] = more ? values[i] : most[i];
      codes[i] = more ? static_cast<int>(row) : codes[i];
    }
  }
  return codes;
}

}  // namespace detail

/// Encodes, decodes and reconstructs up to `batch_size` images at a time on the CPU.
///
/// Shapes are read from the files; results do not depend on the batch size. Move-only; one thread
/// at a time may use it, and each thread may have its own. One that was moved from throws Error when it is used; moving
/// one to itself changes nothing. Let it end before main does: MXNet does not outlive it.
class Codec {
 public:
  /// Throws Error for missing or damaged files, for files that the run's manifest contradicts, and for parameters that
  /// do not fit their graph.
  explicit Codec(const std::filesystem::path& folder, unsigned batch_size = 1)
      : Codec(find_model(folder), batch_size) {}

  /// (channels, height, width) of an image.
  const Shape& image_shape() const { return state().image_shape; }
  /// (height, width) of an image's codes.
  const Shape& codes_shape() const { return state().codes_shape; }
  unsigned batch_size() const { return state().batch_size; }
  /// K: codes are in [0, K).
  unsigned num_embeddings() const { return state().codebook.shape[0]; }

  /// The SHA-256 of the codebook, float32: what codes share with the model that decodes them.
  std::string codebook_digest() const { return detail::sha256(detail::to_bytes(state().codebook.values)); }

  /// Read an image file in the shape of the model, see vqvae::read_image.
  Image read_image(const std::filesystem::path& file, bool strict = false, const std::string& background = "") const {
    return vqvae::read_image(file, image_shape()[0], image_shape()[1], image_shape()[2], strict, background);
  }

  /// Return what enters the encoder: byte / 255 in channel, row, column order. Throws Error for another shape.
  std::vector<float> to_tensor(const Image& image) const {
    std::vector<float> tensor(volume(image_shape()));
    write_tensor(image, tensor.data());
    return tensor;
  }

  /// Return the codes of one image.
  Codes encode(const Image& image) { return encode(std::vector<Image>{image}).front(); }

  /// Return the image of one image's codes.
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
        result.push_back(model.gives_likeness ? detail::most_alike(first, model.encoder.output_shape()[1], count)
                                              : Codes(first, first + count));
      }
    }
    return result;
  }

  /// Return the image of each element's codes. Throws Error for a wrong count or a code out of range.
  std::vector<Image> decode(const std::vector<Codes>& codes) {
    State& model = state();
    std::vector<Image> result;
    const std::size_t area = volume(model.codes_shape), depth = model.codebook.shape[1], size = volume(model.image_shape);
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
    bool gives_likeness;  // or else the encoder gives codes
    Shape image_shape, codes_shape;
    ArrayList::Array codebook;
    Executor encoder, decoder;
  };

  Codec(const ModelFiles& files, unsigned batch_size)
      : Codec(files, checked(batch_size), detail::Component(files, files.encoder()),
              detail::Component(files, files.decoder())) {}

  Codec(const ModelFiles& files, unsigned batch_size, const detail::Component& encoder,
        const detail::Component& decoder)
      : Codec(files, batch_size, encoder, decoder, detail::find_likeness(encoder.symbol)) {}

  Codec(const ModelFiles& files, unsigned batch_size, const detail::Component& encoder,
        const detail::Component& decoder, const std::string& head)
      : state_(new State{batch_size, head != "codes",
                         encoder.input_shape(),
                         {decoder.inputs.at("data").begin() + 2, decoder.inputs.at("data").end()},
                         find_codebook(files, encoder),
                         encoder.bind(batch_size, head),
                         decoder.bind(batch_size, "data")}) {
    const Shape& output = state_->encoder.output_shape();
    Shape expected = codes_shape();
    if (state_->gives_likeness) expected = batched(output.size() == 4 ? output[1] : 0, expected);
    if (state_->codebook.shape[1] != decoder.input_shape()[0] || output != batched(batch_size, expected) ||
        state_->decoder.output_shape() != batched(batch_size, image_shape())) {
      throw Error(files.folder().string() + ": encoder and decoder are from different models");
    }
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
    // Half to even, as NumPy's rint: float32 has no fractions from 2^23 to 2^24, so adding 2^23 rounds. Unlike
    // std::nearbyint, compilers make it run on several pixels at a time.
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

/// Return three lines on a tensor of a shape: shape, range and CRC-32 of its bytes. Python's `vqvae encode
/// --explain` prints the same.
inline std::string explain(const std::vector<float>& tensor, const Shape& shape) {
  const auto [low, high] = std::minmax_element(tensor.begin(), tensor.end());
  char range[64], checksum[16];
  std::snprintf(range, sizeof range, "%.9g to %.9g", static_cast<double>(*low), static_cast<double>(*high));
  std::snprintf(checksum, sizeof checksum, "%08x", detail::crc32(detail::to_bytes(tensor)));
  return "input shape: " + to_string(shape) + " float32\ninput range: " + range + "\ninput CRC-32: " + checksum + "\n";
}

/// Return codes as lines of `width` integers.
inline std::string format_codes(const Codes& codes, unsigned width) {
  std::string text;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    text += std::to_string(codes[i]) + ((i + 1) % width ? " " : "\n");
  }
  return text;
}

/// Read format_codes(); `name` stands for the source in errors. Throws Error for anything but
/// as many whole numbers in [0, K) as the model takes.
inline Codes parse_codes(const std::string& name, const std::string& text, const Codec& codec) {
  Codes codes;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const bool digits = word.size() < 10 && word.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stoul(word) >= codec.num_embeddings()) {
      throw Error(name + ": holds '" + detail::printable(word.substr(0, 20)) + "', the model's codes are whole numbers from 0 to " +
                  std::to_string(codec.num_embeddings() - 1));
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
