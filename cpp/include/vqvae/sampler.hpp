#pragma once

/// @file
/// New images from a model with a prior: codes are sampled place by place. Mirrors vqvae_gluon/sampling.py and
/// vqvae_gluon/deploy/sampler.py: the same seed gives the same codes and the same PNG bytes in both languages.
///
///     int main() {
///       vqvae::compute_in_this_thread();   // if only one thread uses MXNet; see threads.hpp
///       vqvae::Sampler sampler("pre-trained");
///       vqvae::SampleSettings settings;
///       settings.label = "3";
///       settings.seed = 1;
///       vqvae::write_png("three.png", sampler.generate(settings).front());
///     }
///
/// Threads: only one thread at a time may use a sampler; each thread may have its own. Lifetime: a sampler must be
/// destroyed before main returns, because MXNet does not outlive main. Errors are thrown as vqvae::Error.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/codec.hpp"
#include "vqvae/detail/component.hpp"
#include "vqvae/detail/prior_step.hpp"
#include "vqvae/detail/sampling.hpp"
#include "vqvae/error.hpp"
#include "vqvae/model_files.hpp"

namespace vqvae {

/// What to sample.
struct SampleSettings {
  std::size_t count = 1;             ///< images, from 1 to 1,000,000
  std::optional<std::string> label;  ///< name of the class; none: any class
  std::uint32_t seed = 0;            ///< with the same seed, more images begin with the same ones
  double temperature = 1;            ///< 1 samples as the prior has learnt, 0 takes the likeliest code
  unsigned top_k = 0;                ///< sample from this many likeliest codes only; 0: from all codes
  Codes given;                       ///< codes of the first rows, kept in all images; may be empty
};

/// Generates new images from a model with a prior, or completes images of which the first rows of codes are given.
///
/// Move-only: using a moved-from sampler throws Error.
class Sampler {
 public:
  /// Throws Error as Codec does, and if the prior is missing, damaged or belongs to another model.
  explicit Sampler(const std::filesystem::path& folder) : Sampler(find_model(folder), folder) {}

  /// The codec of the model that the codes belong to.
  Codec& codec() { return state().codec; }
  /// As above, const: for its shapes.
  const Codec& codec() const { return state().codec; }
  /// The names of the classes.
  const std::vector<std::string>& classes() const { return state().classes; }

  /// Return the codes of new images. Throws Error for an unknown class or a setting out of range.
  std::vector<Codes> sample(const SampleSettings& settings) {
    std::vector<Codes> all;
    sample(settings, [&](std::vector<Codes> some) { std::move(some.begin(), some.end(), std::back_inserter(all)); });
    return all;
  }

  /// Pass the codes of new images to `take`, a few images at a time, in order. Throws Error as above.
  template <typename Take>
  void sample(const SampleSettings& settings, Take take) {
    check(settings);
    const float label = find_label(settings.label);
    std::mt19937 generator(settings.seed);
    for (std::size_t done = 0; done < settings.count; done += detail::many_rows) {
      const std::size_t count = std::min<std::size_t>(detail::many_rows, settings.count - done);
      std::vector<double> random(count * places());
      std::generate(random.begin(), random.end(), [&] { return detail::uniform(generator); });
      take(draw(settings, label, random));
    }
  }

  /// Return new images.
  std::vector<Image> generate(const SampleSettings& settings) { return codec().decode(sample(settings)); }

 private:
  struct State {
    Codec codec;
    std::vector<detail::Step> steps;  // for few images, if that gives the same bits, and for many
    std::vector<std::string> classes;
  };

  Sampler(const ModelFiles& files, const std::filesystem::path& folder) {
    Codec codec(folder, detail::many_rows);
    if (files.prior().empty()) throw Error(files.folder().string() + ": holds no prior; train one with vqvae prior");
    const detail::Component step(files, files.prior(), detail::step_inputs, "model_0_newest_step-symbol.json");
    const std::size_t classes = check_shapes(step);
    check_model(step, codec, files);
    std::vector<std::string> names = read_classes(step.symbol.attribute("label", "__classes__"));
    if (names.size() != classes) {
      throw Error(step.path() + ": names " + std::to_string(names.size()) + " classes, the prior has " +
                  std::to_string(classes));
    }
    state_.reset(new State{std::move(codec), bind(step), std::move(names)});
  }

  static std::vector<detail::Step> bind(const detail::Component& step) {
    try {
      const unsigned device = detail::next_device();
      const auto weights = to_weights(step.arrays, device);
      std::vector<detail::Step> steps;
      for (const unsigned rows : {detail::few_rows, detail::many_rows}) steps.emplace_back(step, rows, weights, device);
      if (!steps[0].agrees_with(steps[1])) steps.erase(steps.begin());
      return steps;
    } catch (const Error& error) {
      throw Error(step.path() + ": MXNet cannot run the graph (" + error.what() + ")");
    }
  }

  /// Return the number of classes; throw Error if the graph's shapes are not those of a prior.
  static std::size_t check_shapes(const detail::Component& step) {
    const auto fault = [&] { return Error(step.path() + ": is no prior of vqvae prior"); };
    const std::string labels = "arg:prior_label_weight";
    const std::size_t layers = (step.inputs.size() - 5) / 2;
    if (layers == 0 || !step.arrays.contains(labels) || step.arrays.at(labels).shape.size() != 2) throw fault();
    const std::vector<Shape> heads = step.symbol.infer_heads(step.inputs);
    const Shape past = step.inputs.at("keys0"), kept{1, 1, past[2]};
    if (heads.size() != 1 + 2 * layers || heads[0].size() != 2 || heads[0][0] != 1) throw fault();
    if (step.inputs.at("mask")[2] != past[1] + 1) throw fault();
    for (std::size_t i = 1; i < heads.size(); ++i) {
      const std::string kind = (i % 2 ? "keys" : "values") + std::to_string((i - 1) / 2);
      if (heads[i] != kept || step.inputs.at(kind) != past) throw fault();
    }
    return step.arrays.at(labels).shape[0] - 1;
  }

  std::size_t places() const { return volume(codec().codes_shape()); }

  static void check_model(const detail::Component& step, const Codec& codec, const ModelFiles& files) {
    const std::vector<Shape> heads = step.symbol.infer_heads(step.inputs);
    const bool fits =
        heads[0][1] == codec.num_embeddings() && step.inputs.at("keys0")[1] == volume(codec.codes_shape());
    if (!fits || step.symbol.attribute("before", "__codebook__") != codec.codebook_digest()) {
      throw Error((files.folder() / files.prior()).string() +
                  ": was trained on another model's codes; train one for this model with vqvae prior");
    }
  }

  static std::vector<std::string> read_classes(const std::string& text) {
    std::vector<std::string> names;
    std::istringstream words(text.empty() ? "" : text + ',');
    for (std::string word; std::getline(words, word, ',');) names.push_back(detail::unquote(word));
    return names;
  }

  void check(const SampleSettings& settings) const {
    const unsigned codes = codec().num_embeddings();
    if (settings.count < 1 || settings.count > detail::most_images) {
      throw Error(detail::count_fault(std::to_string(settings.count)));
    }
    if (!detail::is_temperature(settings.temperature)) {
      throw Error(detail::temperature_fault(detail::in_short(settings.temperature)));
    }
    if (settings.top_k > codes) throw Error(detail::top_k_fault(std::to_string(settings.top_k), codes));
    const Shape& shape = codec().codes_shape();
    if (settings.given.size() > places() || settings.given.size() % shape[1] != 0) {
      throw Error(std::to_string(settings.given.size()) +
                  " codes of the first rows were given: the model takes up to " + std::to_string(shape[0]) +
                  " rows of " + std::to_string(shape[1]));
    }
    for (const int code : settings.given) {
      if (code < 0 || static_cast<unsigned>(code) >= codes) {
        throw Error("code " + std::to_string(code) + " was given: the model has 0 to " + std::to_string(codes - 1));
      }
    }
  }

  float find_label(const std::optional<std::string>& label) const {
    const std::vector<std::string>& names = classes();
    if (!label) return static_cast<float>(names.size());
    if (names.empty()) {
      throw Error("class " + *label + " was given: the prior was trained without classes; leave it out");
    }
    const auto found = std::find(names.begin(), names.end(), *label);
    if (found != names.end()) return static_cast<float>(found - names.begin());
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    throw Error("class " + *label + " was given: the prior was trained on " + list);
  }

  /// Return the codes of up to many_rows images, one image per row of random numbers.
  std::vector<Codes> draw(const SampleSettings& settings, float label, const std::vector<double>& random) {
    const std::size_t count = random.size() / places(), kinds = codec().num_embeddings();
    detail::Step& step = count <= state().steps.front().rows() ? state().steps.front() : state().steps.back();
    std::vector<Codes> codes(count, Codes(places()));
    step.start(label, settings.temperature == 0 ? 1.0F : static_cast<float>(settings.temperature));
    for (std::size_t place = 0; place < places(); ++place) {
      std::vector<float> before(step.rows(), static_cast<float>(kinds));
      for (std::size_t i = 0; place > 0 && i < before.size(); ++i) {
        before[i] = static_cast<float>(codes[std::min(i, count - 1)][place - 1]);
      }
      const float* const probabilities = step.run(before, place);
      for (std::size_t i = 0; i < count; ++i) {
        codes[i][place] = place < settings.given.size()
                              ? settings.given[place]
                              : detail::choose(probabilities + i * kinds, kinds, random[i * places() + place],
                                               settings.temperature, settings.top_k);
      }
    }
    return codes;
  }

  State& state() const {
    if (!state_) throw Error("a sampler was used after it was moved from");
    return *state_;
  }

  std::unique_ptr<State> state_;
};

}  // namespace vqvae
