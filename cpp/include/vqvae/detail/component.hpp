#pragma once

/// One exported network: its files, checked to be complete and to belong together. Mirrors
/// vqvae_gluon/model_files/component.py.

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/detail/graph_checks.hpp"
#include "vqvae/detail/mxnet.hpp"
#include "vqvae/error.hpp"
#include "vqvae/executor.hpp"
#include "vqvae/model_files.hpp"
#include "vqvae/parameters.hpp"
#include "vqvae/shape.hpp"
#include "vqvae/symbol.hpp"

namespace vqvae::detail {

/// An input of a graph and its shape: 0 stands for any batch size, nothing for any positive number.
struct Input {
  std::string name;
  std::vector<std::optional<unsigned>> shape;
};

/// Return the inputs of an encoder, a decoder or a classifier.
inline std::vector<Input> image_input(const Symbol& /*symbol*/) { return {{"data", {0, {}, {}, {}}}}; }

/// Parse a shape such as "(0, 1, 28, 28)" that fits `expected`; return an empty shape for any other text.
inline Shape parse_shape(const std::string& text, const std::vector<std::optional<unsigned>>& expected) {
  Shape shape;
  std::istringstream words(text);
  char separator = 0;
  unsigned side = 0;
  while (words >> separator >> side) shape.push_back(side);
  const auto fits = [](unsigned given, std::optional<unsigned> wanted) {
    return wanted ? given == *wanted : given > 0;
  };
  const bool is_shape =
      shape.size() == expected.size() && std::equal(shape.begin(), shape.end(), expected.begin(), fits);
  return is_shape && to_string(shape) == text ? shape : Shape{};
}

/// The files of one exported network, checked to belong together.
struct Component {
  std::string json, parameters;
  ArrayList arrays;
  Symbol symbol;
  std::map<std::string, Shape> inputs;  // with a batch size of 1 if any is accepted

  /// `part` is the component's folder, such as vqvae.Encoder.
  Component(const ModelFiles& files, const std::filesystem::path& part,
            const std::function<std::vector<Input>(const Symbol&)>& list_inputs = image_input,
            const std::string& graph = "model_0_newest-symbol.json")
      : json(files.read(part / graph)),
        parameters(files.read(part / parameters_name)),
        arrays(parse_arrays(files.folder() / part / parameters_name, parameters)),
        symbol(parse_graph((files.folder() / part / graph).string(), json)),
        path_(files.folder() / part / graph) {
    const std::string graph_path = path_.string();
    const std::string arrays_path = (files.folder() / part / parameters_name).string();
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
    // MXPredCreate skips missing parameters and computes with uninitialised memory.
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

  /// The graph's file, for error messages.
  std::string path() const { return path_.string(); }

  /// The shape of `data` without the batch.
  Shape input_shape() const { return {inputs.at("data").begin() + 1, inputs.at("data").end()}; }

  /// Bind a network whose only input is `data`.
  Executor bind(unsigned batch_size, const std::string& head, unsigned device) const {
    check_thread();
    if (!symbol.has_output(head)) throw Error(path() + ": has no output named " + head);
    try {
      return Executor(json, parameters, batched(batch_size, input_shape()), head, device);
    } catch (const Error& error) {
      throw Error(path() + ": MXNet cannot run the graph (" + error.what() + ")");
    }
  }

 private:
  static constexpr const char* parameters_name = "model_0_newest-0000.params";

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
    const std::string foreign = foreign_operator(json);
    if (!foreign.empty()) {
      throw Error(path + ": asks for the operator " + foreign + ", which could run code; it is refused");
    }
    try {
      if (!is_graph(json)) throw Error("no graph");
      return Symbol(json);
    } catch (const Error&) {
      throw Error(path + ": is damaged or no MXNet graph");
    }
  }

  std::filesystem::path path_;
};

}  // namespace vqvae::detail
