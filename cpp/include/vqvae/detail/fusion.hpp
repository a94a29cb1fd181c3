#pragma once

/// Fuses each convolution with the activation after it where that gives the same bits: MXNet's own fusion, guarded.
/// Mirrors vqvae_gluon/model_files/executor.py.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/detail/json.hpp"
#include "vqvae/detail/mxnet.hpp"
#include "vqvae/symbol.hpp"

namespace vqvae::detail {

/// Return whether a graph gives the same numbers after its convolutions are fused with what follows them. MXNet also
/// fuses a convolution that another node reads, which then gets the activation instead; and a fused sigmoid gives other
/// bits than the operator alone. `text` is the graph as saved by MXNet.
inline bool is_fusible(const std::string& text) {
  const std::optional<Json> graph = parse_json(text);
  const Json* const nodes = graph ? array_of(&*graph, "nodes") : nullptr;
  const Json* const heads = graph ? array_of(&*graph, "heads") : nullptr;
  if (nodes == nullptr || heads == nullptr) return false;
  std::vector<unsigned> readers(nodes->size(), 0);
  std::vector<std::pair<std::size_t, const Json*>> followers;  // of convolutions
  for (const Json& node : *nodes) {
    for (const Json& entry : node.at("inputs")) {
      const auto source = entry.at(0).get<std::size_t>();
      ++readers.at(source);
      if (text_of(&nodes->at(source), "op") == "Convolution") followers.emplace_back(source, &node);
    }
  }
  for (const Json& head : *heads) ++readers.at(head.at(0).get<std::size_t>());
  return std::all_of(followers.begin(), followers.end(), [&](const auto& follower) {
    const std::string operation = text_of(follower.second, "op");
    if (operation != "Activation") return operation != "LeakyReLU" && operation != "clip";
    const std::string kind = text_of(find(follower.second, "attrs"), "act_type");
    return readers[follower.first] == 1 && (kind == "relu" || kind == "tanh");
  });
}

/// Return a graph as JSON in which each convolution is fused with the activation after it, which gives the same bits;
/// an empty text if MXNet was built without oneDNN, or if it would fuse more or change the results.
///
/// MXNet also fuses a convolution with BatchNorm, which changes bits, and with an addition, which overwrites values
/// that other nodes still read.
inline std::string fused(const Symbol& symbol) {
  if (!is_fusible(symbol.json())) return "";
  SymbolHandle handle = nullptr;
  if (MXGenBackendSubgraph(symbol.handle(), "MKLDNN", &handle) != 0) return "";
  std::string text = Symbol(handle).json();
  for (const char* more : {"\"with_bn\"", "\"with_sum\"", "\"_sg_mkldnn_fully_connected\""}) {
    if (text.find(more) != std::string::npos) return "";
  }
  return text;
}

/// Return fused() of a graph; an empty text also if the head was fused into another operator, or if
/// MXNET_SUBGRAPH_BACKEND decides what is fused.
inline std::string fused(const std::string& json, const std::string& head) {
  const std::string text = is_fusion_ours ? fused(Symbol(json)) : "";
  return !text.empty() && Symbol(text).has_output(head) ? text : "";
}

}  // namespace vqvae::detail
