#pragma once

/// Each convolution and the activation after it as one operator, where that leaves the bits: MXNet's own fusion,
/// guarded. Mirrors vqvae_gluon/model_files/executor.py.

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

/// Return whether fusing the convolutions of a graph with what follows them leaves its numbers: MXNet fuses a
/// convolution also where something else reads it, which then gets the activation instead, and its sigmoid gives other
/// bits than the operator alone. `text` is what MXNet made of the graph.
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

/// Return a graph as JSON with each convolution and the activation after it as one operator, which gives the same bits;
/// an empty text if MXNet, built without oneDNN, cannot do it, or if it does more or changes what it computes.
///
/// It also fuses a convolution with BatchNorm, which changes bits, and with an addition, which overwrites what others
/// still read.
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

/// Return fused() of a graph; an empty text also where the head has gone into another operator, or
/// MXNET_SUBGRAPH_BACKEND says what is fused.
inline std::string fused(const std::string& json, const std::string& head) {
  const std::string text = is_fusion_ours ? fused(Symbol(json)) : "";
  return !text.empty() && Symbol(text).has_output(head) ? text : "";
}

}  // namespace vqvae::detail
