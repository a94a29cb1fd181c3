#pragma once

/// @file
/// A graph of MXNet operators, as stored in a `-symbol.json` file: its names and shapes.
///
///     const vqvae::Symbol symbol(vqvae::read_file("pre-trained/model/vqvae.Encoder/model_0_newest-symbol.json"));
///     symbol.arguments();                                   // {"data", "conv0_weight", ...}
///     symbol.infer_heads({{"data", {1, 1, 28, 28}}});       // the shapes of the outputs
///
/// Threads: only one thread at a time may use a graph; each thread may read its own. Lifetime: a graph must be
/// destroyed before main returns. The text is trusted: check an untrusted one first, as Codec does.

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/detail/mxnet.hpp"
#include "vqvae/error.hpp"
#include "vqvae/shape.hpp"

namespace vqvae {

/// A graph of operators, read from JSON.
class Symbol {
 public:
  /// Throws Error if MXNet does not accept the text as a graph.
  explicit Symbol(const std::string& json) {
    detail::register_operators();
    SymbolHandle handle = nullptr;
    detail::check(MXSymbolCreateFromJSON(json.c_str(), &handle));
    handle_.reset(handle);
  }

  /// Take ownership of a handle of MXNet's C API.
  explicit Symbol(SymbolHandle handle) : handle_(handle) {}

  /// Return the names of the inputs and weights.
  std::vector<std::string> arguments() const { return list(MXSymbolListArguments); }

  /// Return the names of the auxiliary states, such as BatchNorm's moving averages.
  std::vector<std::string> auxiliary_states() const { return list(MXSymbolListAuxiliaryStates); }

  /// Return the shapes of the inputs and weights, then those of the auxiliary states, for inputs of these shapes.
  /// Throws Error if the graph does not accept them.
  std::vector<Shape> infer_shapes(const std::map<std::string, Shape>& inputs) const { return infer(inputs, {0U, 2U}); }

  /// Return the shapes of the heads for inputs of these shapes.
  std::vector<Shape> infer_heads(const std::map<std::string, Shape>& inputs) const { return infer(inputs, {1U}); }

  /// Return whether exactly one node with one output has this name.
  bool has_output(const std::string& name) const {
    SymbolHandle handle = nullptr;
    detail::check(MXSymbolGetInternals(handle_.get(), &handle));
    const std::vector<std::string> names = Symbol(handle).list(MXSymbolListOutputs);
    return std::count(names.begin(), names.end(), name + "_output") == 1;
  }

  /// The handle, for MXNet's C API; the symbol keeps ownership.
  SymbolHandle handle() const { return handle_.get(); }

  /// Return the graph as JSON, without nodes that no head needs.
  std::string json() const {
    const char* text = nullptr;
    detail::check(MXSymbolSaveToJSON(handle_.get(), &text));
    return text;
  }

  /// Return an attribute of a node, or an empty string.
  std::string attribute(const std::string& node, const std::string& name) const {
    mx_uint count = 0;
    const char** pairs = nullptr;
    detail::check(MXSymbolListAttr(handle_.get(), &count, &pairs));
    for (mx_uint i = 0; i < count; ++i) {
      if (node + "$" + name == pairs[2 * i]) return pairs[2 * i + 1];
    }
    return "";
  }

 private:
  /// Return the shapes of these kinds: 0 arguments, 1 heads, 2 auxiliary states.
  std::vector<Shape> infer(const std::map<std::string, Shape>& inputs, const std::vector<unsigned>& kinds) const {
    std::vector<const char*> keys;
    std::vector<std::uint32_t> offsets{0};
    std::vector<int> sides;
    for (const auto& [name, shape] : inputs) {
      keys.push_back(name.c_str());
      sides.insert(sides.end(), shape.begin(), shape.end());
      offsets.push_back(static_cast<std::uint32_t>(sides.size()));
    }
    std::uint32_t counts[3] = {};
    const int* axes[3] = {};
    const int** shapes[3] = {};
    int complete = 0;
    detail::check(MXSymbolInferShapeEx(handle_.get(), static_cast<mx_uint>(keys.size()), keys.data(), offsets.data(),
                                       sides.data(), &counts[0], &axes[0], &shapes[0], &counts[1], &axes[1], &shapes[1],
                                       &counts[2], &axes[2], &shapes[2], &complete));
    if (complete == 0) throw Error("MXNet: the shapes are not complete");
    std::vector<Shape> result;
    for (const unsigned kind : kinds) {
      for (std::uint32_t i = 0; i < counts[kind]; ++i) {
        result.emplace_back(shapes[kind][i], shapes[kind][i] + axes[kind][i]);
      }
    }
    return result;
  }

  template <typename List>
  std::vector<std::string> list(List function) const {
    mx_uint count = 0;
    const char** names = nullptr;
    detail::check(function(handle_.get(), &count, &names));
    return std::vector<std::string>(names, names + count);
  }

  detail::Owner<MXSymbolFree> handle_;
};

}  // namespace vqvae
