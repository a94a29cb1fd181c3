#pragma once

/// The prior's graph for one place, and the keys and values kept from earlier places. Mirrors
/// vqvae_gluon/deploy/sampler.py.

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "vqvae/detail/component.hpp"
#include "vqvae/detail/sampling.hpp"
#include "vqvae/graph.hpp"
#include "vqvae/shape.hpp"
#include "vqvae/symbol.hpp"

namespace vqvae::detail {

/// Numbers of images that are sampled together: few_rows for up to two, else many_rows; unused rows are padding. MXNet
/// computes the last bits of a matrix product in one way for a single row, in another for 2 to 15 rows, and in a third
/// for more; an image must get the same codes whatever the number of images. A sampler checks whether this holds.
constexpr unsigned few_rows = 2, many_rows = 15;

/// Return the inputs of a prior's graph for one place.
inline std::vector<Input> step_inputs(const Symbol& symbol) {
  std::vector<Input> inputs;
  for (const char* const name : {"before", "place", "label"}) inputs.push_back({name, {0}});
  inputs.push_back({"temperature", {0, 1}});
  inputs.push_back({"mask", {0, {}, {}}});
  const std::vector<std::string> arguments = symbol.arguments();
  const auto is_keys = [](const std::string& name) {
    return name.size() > 4 && name.rfind("keys", 0) == 0 &&
           name.find_first_not_of("0123456789", 4) == std::string::npos;
  };
  const auto layers = std::count_if(arguments.begin(), arguments.end(), is_keys);
  for (std::ptrdiff_t i = 0; i < layers; ++i) {
    for (const char* const kind : {"keys", "values"}) inputs.push_back({kind + std::to_string(i), {0, {}, {}}});
  }
  return inputs;
}

/// The graph for one place of several images, and the keys and values kept from earlier places.
class Step {
 public:
  Step(const Component& step, unsigned rows, const std::shared_ptr<Weights>& weights, unsigned device)
      : rows_(rows),
        kinds_(step.symbol.infer_heads(step.inputs)[0][1]),
        places_(step.inputs.at("keys0")[1]),
        width_(step.inputs.at("keys0")[2]),
        heads_(step.inputs.at("mask")[1]),
        graph_(step.symbol, shapes(step, rows), weights, device) {
    for (std::size_t i = 0; i < (step.inputs.size() - 5) / 2; ++i) {
      for (const char* const kind : {"keys", "values"}) past_.push_back(&graph_.input(kind + std::to_string(i)));
    }
  }

  unsigned rows() const { return rows_; }

  /// Begin new images of a class.
  void start(float label, float temperature) {
    std::fill_n(graph_.input("label").values(), rows_, label);
    std::fill_n(graph_.input("temperature").values(), rows_, temperature);
  }

  /// Return the probabilities of the codes at a place, row after row, valid until the next run, and keep the place's
  /// keys and values. `before` holds the previous code of each row.
  const float* run(const std::vector<float>& before, std::size_t place) {
    std::copy_n(before.begin(), rows_, graph_.input("before").values());
    std::fill_n(graph_.input("place").values(), rows_, static_cast<float>(place));
    float* mask = graph_.input("mask").values();
    for (std::size_t i = 0; i < rows_ * heads_; ++i, mask += places_ + 1) {
      std::fill_n(mask, place, 0.0F);
      std::fill(mask + place, mask + places_, -1e9F);
      mask[places_] = 0;
    }
    const std::vector<const float*>& heads = graph_.run();
    for (std::size_t i = 0; i < past_.size(); ++i) {
      for (std::size_t row = 0; row < rows_; ++row) {
        std::copy_n(heads[i + 1] + row * width_, width_, past_[i]->values() + (row * places_ + place) * width_);
      }
    }
    return heads[0];
  }

  /// Return whether two steps give the same bits for the rows that both have. How a product is computed depends on its
  /// shape and not on its numbers, so any inputs will do.
  bool agrees_with(Step& other) {
    const std::vector<const float*>&ours = try_out(), &theirs = other.try_out();
    const Step& smaller = rows_ < other.rows_ ? *this : other;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const std::size_t size = smaller.rows_ * (i == 0 ? kinds_ : width_);
      if (!std::equal(ours[i], ours[i] + size, theirs[i])) return false;
    }
    return true;
  }

 private:
  static std::map<std::string, Shape> shapes(const Component& step, unsigned rows) {
    std::map<std::string, Shape> inputs = step.inputs;
    for (auto& [name, shape] : inputs) shape[0] = rows;
    return inputs;
  }

  const std::vector<const float*>& try_out() {
    fill(graph_.input("mask"), 0);
    for (std::size_t i = 0; i < past_.size(); ++i) fill(*past_[i], static_cast<unsigned>(i));
    start(0, 0.5F);
    return graph_.run();
  }

  static void fill(FloatArray& array, unsigned seed) {
    std::mt19937 generator(seed);
    std::generate_n(array.values(), array.size(), [&] { return static_cast<float>(uniform(generator)); });
  }

  unsigned rows_;
  std::size_t kinds_, places_, width_, heads_;
  Graph graph_;
  std::vector<FloatArray*> past_;  // keys and values of each layer
};

}  // namespace vqvae::detail
