#pragma once

/// @file
/// The parameters of a network, as stored in a `.params` file.
///
///     const vqvae::ArrayList arrays(vqvae::read_file("pre-trained/model/vqvae.Encoder/model_0_newest-0000.params"));
///     arrays.at("arg:vectorquantize0_embeddings").shape;    // the codebook: (64, 16)
///
/// Parsed by hand, because MXNet's own reader trusts the sizes in the file: a small file could use up all memory.
/// Source of the format: MXNet 1.9.1, NDArray::Save, versions 2 and 3. Plain values, usable from any thread.

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/error.hpp"
#include "vqvae/shape.hpp"

namespace vqvae {

/// The arrays of a .params file, by name ("arg:..." and "aux:...").
class ArrayList {
 public:
  /// One of the arrays.
  struct Array {
    Shape shape;                ///< shape of the array
    std::vector<float> values;  ///< values, row by row
  };

  /// Parse the content of a file. Throws Error if it is not a complete .params file.
  explicit ArrayList(const std::string& content) {
    std::size_t place = 0;
    const auto require = [](bool holds) {
      if (!holds) throw Error("no whole .params file");
    };
    const auto take = [&](auto value) {
      require(content.size() - place >= sizeof value);
      std::memcpy(&value, content.data() + place, sizeof value);
      place += sizeof value;
      return value;
    };
    require(take(std::uint64_t{}) == 0x112);
    take(std::uint64_t{});
    const auto count = take(std::uint64_t{});
    std::vector<Array> arrays;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto version = take(std::uint32_t{});
      require(version == 0xF993FAC9U || version == 0xF993FACAU);
      require(take(std::int32_t{}) == 0);  // dense
      const auto axes = take(std::int32_t{});
      require(axes >= 1 && axes <= 32);
      Array array;
      std::uint64_t size = 1;
      for (std::int32_t k = 0; k < axes; ++k) {
        const auto side = take(std::int64_t{});
        require(side >= 0 && static_cast<std::uint64_t>(side) <= content.size());
        size *= static_cast<std::uint64_t>(side);
        require(size <= content.size());
        array.shape.push_back(static_cast<unsigned>(side));
      }
      take(std::uint64_t{});               // the device
      require(take(std::int32_t{}) == 0);  // float32
      require((content.size() - place) / sizeof(float) >= size);
      array.values.resize(size);
      std::memcpy(array.values.data(), content.data() + place, size * sizeof(float));
      place += size * sizeof(float);
      arrays.push_back(std::move(array));
    }
    require(take(std::uint64_t{}) == count);
    for (Array& array : arrays) {
      const auto length = take(std::uint64_t{});
      require(length <= content.size() - place);
      require(arrays_.emplace(content.substr(place, length), std::move(array)).second);
      place += length;
    }
    require(place == content.size());
  }

  /// Return whether there is an array with this name.
  bool contains(const std::string& name) const { return arrays_.count(name) != 0; }
  /// Return the array with this name, which must exist.
  const Array& at(const std::string& name) const { return arrays_.at(name); }
  /// Return all arrays by name.
  const std::map<std::string, Array>& all() const { return arrays_; }

 private:
  std::map<std::string, Array> arrays_;
};

}  // namespace vqvae
