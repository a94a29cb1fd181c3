#pragma once

/// One exported network: its files, checked to be whole and to belong together. Mirrors vqvae_gluon/deploy/artifacts.py.

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/error.hpp"
#include "vqvae/json.hpp"
#include "vqvae/manifest.hpp"
#include "vqvae/mxnet.hpp"

namespace vqvae::detail {

/// An input of a graph and its shape: 0 stands for any batch size, nothing for any other side.
struct Input {
  std::string name;
  std::vector<std::optional<unsigned>> shape;
};

/// Return the inputs of an encoder, a decoder or a classifier.
inline std::vector<Input> image_input(const Symbol& /*symbol*/) { return {{"data", {0, {}, {}, {}}}}; }

/// Read "(0, 1, 28, 28)", as it is expected; return nothing for any other text.
inline Shape parse_shape(const std::string& text, const std::vector<std::optional<unsigned>>& expected) {
  Shape shape;
  std::istringstream words(text);
  char separator = 0;
  unsigned side = 0;
  while (words >> separator >> side) shape.push_back(side);
  const auto fits = [](unsigned given, std::optional<unsigned> wanted) { return wanted ? given == *wanted : given > 0; };
  const bool is_shape = shape.size() == expected.size() && std::equal(shape.begin(), shape.end(), expected.begin(), fits);
  return is_shape && to_string(shape) == text ? shape : Shape{};
}

/// Return whether a node's input, or a head, is [number, output, ...] of one of the first `count` nodes and has it.
inline bool is_entry(const Json& entry, const std::vector<Json>& nodes, std::size_t count) {
  if (entry.kind != Json::Kind::array || entry.items.size() < 2) return false;
  const auto source = entry.items[0].number(), index = entry.items[1].number();
  const bool whole = entry.items[0].kind == Json::Kind::word && entry.items[1].kind == Json::Kind::word;
  if (!whole || !source || !index || *source >= count) return false;
  const Json* const attributes = nodes[*source].find("attrs");
  const Json* const outputs = attributes ? attributes->find("num_outputs") : nullptr;
  return *index < (outputs ? outputs->number().value_or(0) : 1);
}

/// Return whether text is JSON whose nodes take what earlier nodes give: MXNet reads past its memory otherwise, and
/// stops reading where it has enough.
inline bool is_graph(const std::string& text) {
  const std::optional<Json> graph = JsonReader(text).read();
  const Json* const nodes = graph ? graph->find("nodes") : nullptr;
  const Json* const heads = graph ? graph->find("heads") : nullptr;
  if (!nodes || nodes->kind != Json::Kind::array || !heads || heads->kind != Json::Kind::array) return false;
  for (std::size_t i = 0; i < nodes->items.size(); ++i) {
    const Json* const inputs = nodes->items[i].find("inputs");
    if (!inputs || inputs->kind != Json::Kind::array) return false;
    for (const Json& entry : inputs->items) {
      if (!is_entry(entry, nodes->items, i)) return false;
    }
    const Json* const attributes = nodes->items[i].find("attrs");
    const Json* const storage = attributes ? attributes->find("__storage_type__") : nullptr;
    if (storage && (storage->kind != Json::Kind::string || storage->text != "0")) return false;  // a sparse weight
  }
  for (const Json& entry : heads->items) {
    if (!is_entry(entry, nodes->items, nodes->items.size())) return false;
  }
  return true;
}

/// The files of one exported network, checked to belong together.
struct Component {
  std::string json, parameters;
  ArrayList arrays;
  Symbol symbol;
  std::map<std::string, Shape> inputs;  // where any number of examples may enter, for one

  /// `part` is the folder of a component, such as vqvae.Encoder.
  Component(const ModelFiles& files, const std::filesystem::path& part,
            const std::function<std::vector<Input>(const Symbol&)>& list_inputs = image_input,
            const std::string& graph = "model_0_newest-symbol.json")
      : json(files.read(part / graph)),
        parameters(files.read(part / parameters_name())),
        arrays(parse_arrays(files.folder() / part / parameters_name(), parameters)),
        symbol(parse_graph((files.folder() / part / graph).string(), json)),
        path_(files.folder() / part / graph) {
    const std::string graph_path = path_.string();
    const std::string arrays_path = (files.folder() / part / parameters_name()).string();
    const std::vector<std::string> arguments = symbol.arguments();
    for (const Input& input : list_inputs(symbol)) {
      if (std::find(arguments.begin(), arguments.end(), input.name) == arguments.end()) {
        throw Error(graph_path + ": has no input named " + input.name);
      }
      Shape shape = parse_shape(symbol.attribute(input.name, "__shape__"), input.shape);
      if (shape.empty()) {
        throw Error(graph_path + ": does not give the shape of " + input.name + "; export it with vqvae export");
      }
      if (shape[0] == 0) shape[0] = 1;
      inputs.emplace(input.name, shape);
    }
    const std::vector<Shape> shapes = infer();
    std::vector<std::pair<std::string, Shape>> expected;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      if (inputs.count(arguments[i]) == 0) expected.emplace_back("arg:" + arguments[i], shapes[i]);
    }
    const std::vector<std::string> states = symbol.auxiliary_states();
    for (std::size_t i = 0; i < states.size(); ++i) {
      expected.emplace_back("aux:" + states[i], shapes[arguments.size() + i]);
    }
    // MXPredCreate skips what is missing and computes with uninitialised memory.
    for (const auto& [name, wanted] : expected) {
      if (!arrays.contains(name)) {
        throw Error(arrays_path + ": lacks " + name + ", which the graph needs; it is from another model");
      }
      if (arrays.at(name).shape != wanted) {
        throw Error(arrays_path + ": has " + name + " of shape " + to_string(arrays.at(name).shape) +
                    ", the graph needs " + to_string(wanted) + "; it is from another model");
      }
    }
    for (const auto& entry : arrays.all()) {
      const auto is_it = [&](const std::pair<std::string, Shape>& known) { return known.first == entry.first; };
      if (std::none_of(expected.begin(), expected.end(), is_it)) {
        throw Error(arrays_path + ": holds " + entry.first +
                    ", which the graph does not know; it is from another model");
      }
    }
  }

  /// The graph's file, for messages.
  std::string path() const { return path_.string(); }

  /// The shape of `data` without the batch.
  Shape input_shape() const { return {inputs.at("data").begin() + 1, inputs.at("data").end()}; }

  /// Bind a network whose only input is `data`.
  Executor bind(unsigned batch_size, const std::string& head) const {
    check_thread();
    if (!symbol.has_output(head)) throw Error(path() + ": has no output named " + head);
    try {
      return Executor(json, parameters, batched(batch_size, input_shape()), head);
    } catch (const Error& error) {
      throw Error(path() + ": MXNet cannot run the graph (" + error.what() + ")");
    }
  }

 private:
  static std::string parameters_name() { return "model_0_newest-0000.params"; }

  std::vector<Shape> infer() const {
    try {
      return symbol.infer_shapes(inputs);
    } catch (const Error&) {
      throw Error(path() + ": the graph does not accept its own input shape");
    }
  }

  static ArrayList parse_arrays(const std::filesystem::path& path, const std::string& content) {
    try {
      return ArrayList(content);
    } catch (const Error&) {
      throw Error(path.string() + ": is damaged or no MXNet parameter file");
    }
  }

  static Symbol parse_graph(const std::string& path, const std::string& json) {
    // Operators that call functions of the program, _Native and _NDArray at an address that the graph gives. MXNet's
    // reader knows no \u escapes, so that a name stands in the text as it is.
    for (const std::string name :
         {"Custom", "_npi_Custom", "_CustomFunction", "_NDArray", "_Native", "_CachedOp", "_CachedOpThreadSafe",
          "_backward_Custom", "_backward_CustomFunction", "_backward__NDArray", "_backward__Native",
          "_backward_CachedOp"}) {
      if (json.find('"' + name + '"') != std::string::npos) {
        throw Error(path + ": asks for the operator " + name + ", which could run code; it is refused");
      }
    }
    try {
      if (is_graph(json)) return Symbol(json);
    } catch (const Error&) {
    }
    throw Error(path + ": is damaged or no MXNet graph");
  }

  std::filesystem::path path_;
};

}  // namespace vqvae::detail
