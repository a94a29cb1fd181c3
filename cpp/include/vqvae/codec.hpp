#pragma once

/// A trained VQ-VAE as EMADL-named files: images to codes, codes to images.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/error.hpp"
#include "vqvae/files.hpp"
#include "vqvae/image.hpp"
#include "vqvae/mxnet.hpp"

namespace vqvae {

namespace detail {

/// Return the bytes of floats, as they lie in memory.
inline std::string to_bytes(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// Read "(0, 1, 28, 28)"; 0 stands for any batch size.
inline Shape parse_shape(const std::string& text) {
  Shape shape;
  std::istringstream words(text);
  char separator = 0;
  unsigned side = 0;
  while (words >> separator >> side) shape.push_back(side);
  return shape;
}

/// The files of one exported network, checked to belong together.
struct Component {
  std::string json, parameters;
  ArrayList arrays;
  Shape input_shape;  // without the batch

  Component(const std::filesystem::path& folder)
      : json(read_file(folder / symbol_name())),
        parameters(read_file(folder / parameters_name())),
        arrays(parse_arrays(folder / parameters_name(), parameters)) {
    const std::string graph_path = (folder / symbol_name()).string();
    const std::string arrays_path = (folder / parameters_name()).string();
    const Symbol symbol = parse_graph(graph_path, json);
    const std::vector<std::string> arguments = symbol.arguments();
    if (std::find(arguments.begin(), arguments.end(), "data") == arguments.end()) {
      throw Error(graph_path + ": has no input named data");
    }
    std::vector<std::string> expected;
    for (const std::string& name : arguments) {
      if (name != "data") expected.push_back("arg:" + name);
    }
    for (const std::string& name : symbol.auxiliary_states()) expected.push_back("aux:" + name);
    // MXPredCreate skips what is missing and computes with uninitialised memory.
    for (const std::string& name : expected) {
      if (!arrays.contains(name)) {
        throw Error(arrays_path + ": lacks " + name + ", which the graph needs; it is from another model");
      }
    }
    for (const auto& entry : arrays.all()) {
      if (std::find(expected.begin(), expected.end(), entry.first) == expected.end()) {
        throw Error(arrays_path + ": holds " + entry.first +
                    ", which the graph does not know; it is from another model");
      }
    }
    const Shape shape = parse_shape(symbol.attribute("data", "__shape__"));
    if (shape.size() != 4) {
      throw Error(graph_path + ": does not give the shape of data; export it with vqvae export");
    }
    input_shape.assign(shape.begin() + 1, shape.end());
  }

  Executor bind(const std::filesystem::path& folder, unsigned batch_size, const std::string& head) const {
    Shape shape{batch_size};
    shape.insert(shape.end(), input_shape.begin(), input_shape.end());
    try {
      return Executor(json, parameters, shape, head);
    } catch (const Error& error) {
      throw Error((folder / parameters_name()).string() + ": does not fit the graph; it is from another model (" +
                  error.what() + ")");
    }
  }

 private:
  static std::string symbol_name() { return "model_0_newest-symbol.json"; }
  static std::string parameters_name() { return "model_0_newest-0000.params"; }

  static ArrayList parse_arrays(const std::filesystem::path& path, const std::string& content) {
    try {
      return ArrayList(content);
    } catch (const Error&) {
      throw Error(path.string() + ": is damaged or no MXNet parameter file");
    }
  }

  static Symbol parse_graph(const std::string& path, const std::string& json) {
    try {
      return Symbol(json);
    } catch (const Error&) {
      throw Error(path + ": is damaged or no MXNet graph");
    }
  }
};

}  // namespace detail

using Codes = std::vector<int>;  // row by row

/// Return the folder that holds vqvae.Encoder and vqvae.Decoder: `folder` or its subfolder model.
inline std::filesystem::path find_model(const std::filesystem::path& folder) {
  std::error_code ignored;
  for (const auto& candidate : {folder, folder / "model"}) {
    if (std::filesystem::is_directory(candidate / "vqvae.Encoder", ignored) &&
        std::filesystem::is_directory(candidate / "vqvae.Decoder", ignored)) {
      return candidate;
    }
  }
  throw Error(folder.string() +
              ": holds no exported model (vqvae.Encoder and vqvae.Decoder); train one with vqvae train");
}

/// Encodes, decodes and reconstructs up to `batch_size` images at a time on the CPU.
///
/// Shapes are read from the files; results do not depend on the batch size. Move-only; one thread
/// at a time may use it, and each thread may have its own.
class Codec {
 public:
  /// Throws Error for missing or damaged files, and for parameters that do not fit their graph.
  explicit Codec(const std::filesystem::path& folder, unsigned batch_size = 1)
      : Codec(find_model(folder), batch_size, Found{}) {}

  /// (channels, height, width) of an image.
  const Shape& image_shape() const { return image_shape_; }
  /// (height, width) of an image's codes.
  const Shape& codes_shape() const { return codes_shape_; }
  unsigned batch_size() const { return batch_size_; }
  /// K: codes are in [0, K).
  unsigned num_embeddings() const { return codebook_.shape[0]; }

  /// Read an image file in the shape of the model, see vqvae::read_image.
  Image read_image(const std::filesystem::path& file, bool strict = false) const {
    return vqvae::read_image(file, image_shape_[0], image_shape_[1], image_shape_[2], strict);
  }

  /// Return what enters the encoder: byte / 255 in channel, row, column order. Throws Error for another shape.
  std::vector<float> to_tensor(const Image& image) const {
    std::vector<float> tensor(volume(image_shape_));
    write_tensor(image, tensor.data());
    return tensor;
  }

  /// Return the codes of one image.
  Codes encode(const Image& image) { return encode(std::vector<Image>{image}).front(); }

  /// Return the image of one image's codes.
  Image decode(const Codes& codes) { return decode(std::vector<Codes>{codes}).front(); }

  /// Return the codes of each image. Throws Error for an image of another shape.
  std::vector<Codes> encode(const std::vector<Image>& images) {
    std::vector<Codes> result;
    const std::size_t size = volume(image_shape_), count = volume(codes_shape_);
    for (std::size_t start = 0; start < images.size(); start += batch_size_) {
      const std::size_t stop = std::min<std::size_t>(images.size(), start + batch_size_);
      std::vector<float> input(size * batch_size_);
      for (std::size_t i = start; i < stop; ++i) write_tensor(images[i], input.data() + (i - start) * size);
      encoder_.forward(input);
      const std::vector<float> codes = encoder_.output();
      for (std::size_t i = 0; i < stop - start; ++i) {
        const auto first = codes.begin() + static_cast<std::ptrdiff_t>(i * count);
        result.emplace_back(first, first + static_cast<std::ptrdiff_t>(count));
      }
    }
    return result;
  }

  /// Return the image of each element's codes. Throws Error for a wrong count or a code out of range.
  std::vector<Image> decode(const std::vector<Codes>& codes) {
    std::vector<Image> result;
    const std::size_t area = volume(codes_shape_), depth = codebook_.shape[1], size = volume(image_shape_);
    for (std::size_t start = 0; start < codes.size(); start += batch_size_) {
      const std::size_t stop = std::min<std::size_t>(codes.size(), start + batch_size_);
      std::vector<float> encoding(area * depth * batch_size_);
      for (std::size_t i = start; i < stop; ++i) {
        check(codes[i]);
        float* const target = encoding.data() + (i - start) * area * depth;
        for (std::size_t place = 0; place < area; ++place) {
          const auto row = static_cast<std::size_t>(codes[i][place]);
          for (std::size_t d = 0; d < depth; ++d) target[d * area + place] = codebook_.values[row * depth + d];
        }
      }
      decoder_.forward(encoding);
      const std::vector<float> pixels = decoder_.output();
      for (std::size_t i = 0; i < stop - start; ++i) {
        Image image{image_shape_[0], image_shape_[1], image_shape_[2], std::string(size, '\0')};
        std::transform(pixels.data() + i * size, pixels.data() + (i + 1) * size, image.bytes.begin(), to_byte);
        result.push_back(std::move(image));
      }
    }
    return result;
  }

  /// Return decode(encode(images)).
  std::vector<Image> reconstruct(const std::vector<Image>& images) { return decode(encode(images)); }

 private:
  struct Found {};

  Codec(const std::filesystem::path& model, unsigned batch_size, Found)
      : Codec(model, batch_size, detail::Component(model / "vqvae.Encoder"),
              detail::Component(model / "vqvae.Decoder")) {}

  Codec(const std::filesystem::path& model, unsigned batch_size, const detail::Component& encoder,
        const detail::Component& decoder)
      : batch_size_(checked(batch_size)),
        image_shape_(encoder.input_shape),
        codes_shape_(decoder.input_shape.begin() + 1, decoder.input_shape.end()),
        codebook_(find_codebook(model, encoder)),
        encoder_(encoder.bind(model / "vqvae.Encoder", batch_size, "codes")),
        decoder_(decoder.bind(model / "vqvae.Decoder", batch_size, "data")) {
    Shape expected{batch_size};
    expected.insert(expected.end(), codes_shape_.begin(), codes_shape_.end());
    if (codebook_.shape[1] != decoder.input_shape[0] || encoder_.output_shape() != expected) {
      throw Error(model.string() + ": encoder and decoder are from different models");
    }
  }

  static unsigned checked(unsigned batch_size) {
    if (batch_size == 0) throw Error("the batch size was given as 0: it must be at least 1");
    return batch_size;
  }

  static ArrayList::Array find_codebook(const std::filesystem::path& model, const detail::Component& encoder) {
    const std::string name = "arg:vectorquantize0_embeddings";
    if (!encoder.arrays.contains(name) || encoder.arrays.at(name).shape.size() != 2) {
      throw Error((model / "vqvae.Encoder" / "model_0_newest-0000.params").string() + ": holds no codebook vectorquantize0_embeddings");
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
    if (shape != image_shape_ || image.bytes.size() != volume(shape)) {
      throw Error("an image was given with shape " + to_string(shape) + " and " + std::to_string(image.bytes.size()) +
                  " bytes: the model takes " + to_string(image_shape_));
    }
  }

  void check(const Codes& codes) const {
    if (codes.size() != volume(codes_shape_)) {
      throw Error(std::to_string(codes.size()) + " codes were given: the model takes " +
                  std::to_string(volume(codes_shape_)) + " an image");
    }
    for (const int code : codes) {
      if (code < 0 || static_cast<unsigned>(code) >= num_embeddings()) {
        throw Error("code " + std::to_string(code) + " was given: the model has 0 to " +
                    std::to_string(num_embeddings() - 1));
      }
    }
  }

  unsigned batch_size_;
  Shape image_shape_, codes_shape_;
  ArrayList::Array codebook_;
  Executor encoder_, decoder_;
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
      throw Error(name + ": holds '" + word.substr(0, 20) + "', the model's codes are whole numbers from 0 to " +
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
