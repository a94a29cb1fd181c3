#pragma once

/// New images from a model with a prior: codes drawn place by place. Mirrors vqvae_gluon/sampling.py and
/// vqvae_gluon/deploy/sampler.py: one seed gives the same codes and, in a PNG file, the same bytes in both languages.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/codec.hpp"
#include "vqvae/component.hpp"
#include "vqvae/error.hpp"
#include "vqvae/graph.hpp"
#include "vqvae/manifest.hpp"
#include "vqvae/mxnet.hpp"

namespace vqvae {

/// What is to be drawn.
struct SampleSettings {
  std::size_t count = 1;             ///< images, from 1 to 1,000,000
  std::optional<std::string> label;  ///< the class, by its name; none: any
  std::uint32_t seed = 0;            ///< more images of a seed begin with the same ones
  double temperature = 1;            ///< 1 draws as the prior has learnt, 0 always the likeliest code
  unsigned top_k = 0;                ///< draw among that many likeliest codes; 0: among all
  Codes given;                       ///< codes of the first rows, which all images keep; may be empty
};

namespace detail {

/// Images that are drawn side by side: two where one is wanted, else this many, filled up where there are fewer. MXNet
/// computes the last bits of a product in one way for a single row, in another for 2 to 15, and in a third for more: the
/// images must have the same codes in any company. A sampler sees for itself whether it is so.
constexpr unsigned few_rows = 2, many_rows = 15;
constexpr std::size_t most_images = 1'000'000;
constexpr double coldest = 1e-3, hottest = 1e3;

/// Return whether a temperature is one: 0, or between the coldest and the hottest.
inline bool is_temperature(double value) { return value == 0 || (value >= coldest && value <= hottest); }

/// The messages of settings out of range, for values as they were given.
inline std::string count_fault(const std::string& given) {
  return "count was given as " + given + ": it must be from 1 to " + std::to_string(most_images);
}
inline std::string seed_fault(const std::string& given) {
  return "seed was given as " + given + ": it must be from 0 to 4294967295";
}
inline std::string temperature_fault(const std::string& given) {
  return "temperature was given as " + given + ": it must be 0 (always the likeliest code) or from 0.001 to 1000";
}
inline std::string top_k_fault(const std::string& given, unsigned num_embeddings) {
  return "top-k was given as " + given + ": it must be from 1 to " + std::to_string(num_embeddings) + ", or 0 for all codes";
}

/// Return a number as Python's format "g" writes it.
inline std::string in_short(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

/// Return a random number in [0, 1), as numpy.random.RandomState(seed).random_sample() does.
inline double uniform(std::mt19937& generator) {
  const auto high = static_cast<double>(generator() >> 5U), low = static_cast<double>(generator() >> 6U);
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

/// Return the code that `random`, in [0, 1), chooses by `count` probabilities. Temperature 0: the most probable one;
/// `top_k` above 0: among that many most probable ones. Of equals, the first.
inline int choose(const float* probabilities, std::size_t count, double random, double temperature, unsigned top_k) {
  if (!std::all_of(probabilities, probabilities + count, [](float value) { return std::isfinite(value); })) {
    throw Error("the prior gives probabilities that are no numbers: it is damaged or was badly trained");
  }
  if (temperature == 0) return static_cast<int>(std::max_element(probabilities, probabilities + count) - probabilities);
  std::vector<double> sums(probabilities, probabilities + count);
  if (top_k != 0) {
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return probabilities[a] > probabilities[b]; });
    for (std::size_t i = top_k; i < count; ++i) sums[order[i]] = 0;
  }
  for (std::size_t i = 1; i < count; ++i) sums[i] += sums[i - 1];
  const double chosen = random * sums.back();
  return static_cast<int>(std::upper_bound(sums.begin(), sums.end(), chosen) - sums.begin());
}

/// Return text without percent signs: "%2C" is a comma.
inline std::string unquote(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto is_digit = [&](std::size_t k) { return k < text.size() && std::isxdigit(static_cast<unsigned char>(text[k])); };
    if (text[i] == '%' && is_digit(i + 1) && is_digit(i + 2)) {
      result += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

/// Return the inputs of a prior's graph of one place.
inline std::vector<Input> step_inputs(const Symbol& symbol) {
  std::vector<Input> inputs;
  for (const char* const name : {"before", "place", "label"}) inputs.push_back({name, {0}});
  inputs.push_back({"temperature", {0, 1}});
  inputs.push_back({"mask", {0, {}, {}}});
  const std::vector<std::string> arguments = symbol.arguments();
  const auto is_keys = [](const std::string& name) {
    return name.size() > 4 && name.rfind("keys", 0) == 0 && name.find_first_not_of("0123456789", 4) == std::string::npos;
  };
  const auto layers = std::count_if(arguments.begin(), arguments.end(), is_keys);
  for (std::ptrdiff_t i = 0; i < layers; ++i) {
    for (const char* const kind : {"keys", "values"}) inputs.push_back({kind + std::to_string(i), {0, {}, {}}});
  }
  return inputs;
}

/// The graph of one place for a number of images, and what it keeps of earlier places.
class Step {
 public:
  Step(const Component& step, unsigned rows, const std::shared_ptr<Weights>& weights)
      : rows_(rows),
        kinds_(step.symbol.infer_heads(step.inputs)[0][1]),
        places_(step.inputs.at("keys0")[1]),
        width_(step.inputs.at("keys0")[2]),
        heads_(step.inputs.at("mask")[1]),
        graph_(step.symbol, shapes(step, rows), weights) {
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

  /// Return the probabilities of the codes of a place, one row after the other, which stay until the next run; keep its
  /// keys and values. `before` are the codes before it.
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

  /// Tell whether the first rows of another step's are the same bits as this one's. Which way a product is computed
  /// depends on its shape and not on its numbers: any will do.
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

}  // namespace detail

/// Draws new images from a model with a prior, and finishes begun ones.
///
/// Move-only; one thread at a time may use it. One that was moved from throws Error when it is used. Let it end before main does.
class Sampler {
 public:
  /// Throws Error as Codec does, and if there is no prior, or one that is damaged or belongs to another model.
  explicit Sampler(const std::filesystem::path& folder) : Sampler(find_model(folder), folder) {}

  /// The model that the codes belong to.
  Codec& codec() { return state().codec; }
  const Codec& codec() const { return state().codec; }
  /// The names of the classes.
  const std::vector<std::string>& classes() const { return state().classes; }

  /// Return the codes of new images. Throws Error for an unknown class or a setting out of range.
  std::vector<Codes> sample(const SampleSettings& settings) {
    std::vector<Codes> all;
    sample(settings, [&](std::vector<Codes> some) { std::move(some.begin(), some.end(), std::back_inserter(all)); });
    return all;
  }

  /// Hand the codes of new images to `take`, a few at a time, in order. Throws Error as above.
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
    std::vector<detail::Step> steps;  // for few images, where it gives the same bits, and for many
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
      throw Error(step.path() + ": names " + std::to_string(names.size()) + " classes, the prior has " + std::to_string(classes));
    }
    state_.reset(new State{std::move(codec), bind(step), std::move(names)});
  }

  static std::vector<detail::Step> bind(const detail::Component& step) {
    try {
      const auto weights = to_weights(step.arrays);
      std::vector<detail::Step> steps;
      for (const unsigned rows : {detail::few_rows, detail::many_rows}) steps.emplace_back(step, rows, weights);
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
    const bool fits = heads[0][1] == codec.num_embeddings() && step.inputs.at("keys0")[1] == volume(codec.codes_shape());
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
      throw Error(std::to_string(settings.given.size()) + " codes of the first rows were given: the model takes up to " +
                  std::to_string(shape[0]) + " rows of " + std::to_string(shape[1]));
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

  /// Return the codes of up to many_rows images, one for each row of random numbers.
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
