#pragma once

/// Checks of a graph's text before MXNet reads it, because MXNet trusts it. Mirrors vqvae_gluon/model_files/graph.py.

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "vqvae/detail/json.hpp"

namespace vqvae::detail {

/// Return the number of outputs of a node; its attributes may give it, as text.
inline std::size_t count_outputs(const Json& node) {
  const Json* const attributes = find(&node, "attrs");
  const Json* const outputs = find(attributes, "num_outputs");
  if (outputs == nullptr) return 1;
  if (!outputs->is_string()) return whole_number(*outputs).value_or(0);
  const std::string text = outputs->get<std::string>();
  const bool digits = !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
  return digits ? std::stoul(text) : 0;
}

/// Return whether a node's input, or a head, is [node, output, ...] for an existing output of one of the first `count`
/// nodes.
inline bool is_entry(const Json& entry, const Json& nodes, std::size_t count) {
  if (!entry.is_array() || entry.size() < 2) return false;
  const auto source = whole_number(entry[0]), index = whole_number(entry[1]);
  return source && index && *source < count && *index < count_outputs(nodes[*source]);
}

/// Return whether a node is dense and takes its inputs from the first `count` nodes.
inline bool is_node(const Json& node, const Json& nodes, std::size_t count) {
  const Json* const inputs = array_of(&node, "inputs");
  if (inputs == nullptr) return false;
  const auto fits = [&](const Json& entry) { return is_entry(entry, nodes, count); };
  if (!std::all_of(inputs->begin(), inputs->end(), fits)) return false;
  const Json* const attributes = find(&node, "attrs");
  return find(attributes, "__storage_type__") == nullptr || text_of(attributes, "__storage_type__") == "0";
}

/// Return whether text is JSON whose nodes take their inputs from earlier nodes. Otherwise MXNet reads past its memory,
/// and it stops parsing where it has enough.
inline bool is_graph(const std::string& text) {
  const std::optional<Json> graph = parse_json(text);
  const Json* const nodes = graph ? array_of(&*graph, "nodes") : nullptr;
  const Json* const heads = graph ? array_of(&*graph, "heads") : nullptr;
  if (nodes == nullptr || heads == nullptr) return false;
  for (std::size_t i = 0; i < nodes->size(); ++i) {
    if (!is_node((*nodes)[i], *nodes, i)) return false;
  }
  return std::all_of(heads->begin(), heads->end(),
                     [&](const Json& head) { return is_entry(head, *nodes, nodes->size()); });
}

/// Return the first operator in a graph that calls functions of the program (_Native and _NDArray do so at an address
/// that the graph gives); empty if there is none. MXNet's reader knows no \u escapes, so an operator's name appears in
/// the text as it is.
inline std::string foreign_operator(const std::string& text) {
  for (const std::string name : {"Custom", "_npi_Custom", "_CustomFunction", "_NDArray", "_Native", "_CachedOp",
                                 "_CachedOpThreadSafe", "_backward_Custom", "_backward_CustomFunction",
                                 "_backward__NDArray", "_backward__Native", "_backward_CachedOp"}) {
    if (text.find('"' + name + '"') != std::string::npos) return name;
  }
  return "";
}

/// Return the name of the encoder's node of scores, of which the output `codes` is the greatest row at each place;
/// "codes" itself if the graph does not choose codes the way exported graphs do. `text` is a graph with such an output,
/// as saved by MXNet.
inline std::string find_scores(const std::string& text) {
  const std::optional<Json> graph = parse_json(text);
  const Json* const nodes = graph ? array_of(&*graph, "nodes") : nullptr;
  if (nodes == nullptr) return "codes";
  using Settings = std::map<std::string, std::string>;  // all of the node's attributes
  const auto is = [](const Json& node, const char* operation, const Settings& settings) {
    const Json* const given = find(&node, "attrs");
    return text_of(&node, "op") == operation && given != nullptr && *given == Json(settings);
  };
  const auto source = [&](const Json& node) -> const Json& {
    return nodes->at(node.at("inputs").at(0).at(0).get<std::size_t>());
  };
  for (const Json& node : *nodes) {
    if (text_of(&node, "name") != "codes" || !is(node, "argmax", {{"axis", "1"}})) continue;
    const Json& scores = source(node);
    if (!is(scores, "slice", {{"begin", "(None,)"}, {"end", "(None,)"}})) continue;
    if (text_of(&source(scores), "op") == "Convolution") return text_of(&scores, "name");
  }
  return "codes";
}

}  // namespace vqvae::detail
