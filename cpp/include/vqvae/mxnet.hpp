#pragma once

/// Owners of MXNet's C handles: move-only, errors as exceptions, no raw pointer in a public signature.

#include <cstddef>
#include <cstdint>
// c_predict_api.h forgets the two headers above.
#include <mxnet/c_api.h>
#include <mxnet/c_predict_api.h>
#include <nnvm/c_api.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "vqvae/error.hpp"
#include "vqvae/json.hpp"

namespace vqvae {

using Shape = std::vector<unsigned>;

/// Return the number of values in a tensor of a shape.
inline std::size_t volume(const Shape& shape) {
  std::size_t product = 1;
  for (const unsigned side : shape) product *= side;
  return product;
}

/// Return the shape of a batch of tensors of a shape.
inline Shape batched(unsigned size, const Shape& shape) {
  Shape result{size};
  result.insert(result.end(), shape.begin(), shape.end());
  return result;
}

/// Return "(1, 28, 28)".
inline std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

namespace detail {

/// The line of MXNet's last message that says what happened; a stack trace stands around it.
inline std::string last_message() {
  const std::string message = MXGetLastError();
  const std::string mark = "MXNetError: ";
  const std::size_t found = message.find(mark);
  const std::size_t start = found == std::string::npos ? 0 : found + mark.size();
  return message.substr(start, message.find('\n', start) - start);
}

inline void check(int status) {
  if (status != 0) throw Error("MXNet: " + last_message());
}

template <int (*Free)(void*)>
struct Deleter {
  void operator()(void* handle) const { Free(handle); }
};

template <int (*Free)(void*)>
using Owner = std::unique_ptr<void, Deleter<Free>>;

/// Waits, when the process ends, for what MXNet's threads still have to free. They free a predictor whenever they come to
/// it, and a fused convolution ends the process with an error where oneDNN's memory is gone already.
struct WaitAtExit {
  ~WaitAtExit() { MXNDArrayWaitAll(); }
};

/// The one thread that may use MXNet; none if every thread may.
inline std::thread::id& only_thread() {
  static std::thread::id thread;
  return thread;
}

/// Whether MXNet has been used.
inline std::atomic<bool>& is_used() {
  static std::atomic<bool> used{false};
  return used;
}

inline void check_thread() {
  if (only_thread() != std::thread::id{} && only_thread() != std::this_thread::get_id()) {
    throw Error("a thread used MXNet after another one had called compute_in_this_thread: only that one may");
  }
  is_used() = true;
}

/// Return the value of an environment variable, or an empty text.
inline std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

/// Let MXNet know its operators of the old kind, Pad and LRN among them: it registers them only when somebody asks for a
/// list of all, and a graph that has one has no shapes until then.
inline void register_operators() {
  static const bool done = [] {
    mx_uint count = 0;
    AtomicSymbolCreator* creators = nullptr;
    check(MXSymbolListAtomicSymbolCreators(&count, &creators));
    return true;
  }();
  static_cast<void>(done);
}

/// Keep MXNet from fusing all it can when it binds a graph, other than Gluon; return false if MXNET_SUBGRAPH_BACKEND is set
/// and decides instead.
inline bool fuse_nothing() {
  static const bool is_ours = [] {
    const bool is_set = !environment("MXNET_SUBGRAPH_BACKEND").empty();
    if (!is_set) ::setenv("MXNET_SUBGRAPH_BACKEND", "NONE", 1);
    return !is_set;
  }();
  return is_ours;
}

/// Return whether fusing the convolutions of a graph with what follows them leaves its numbers: MXNet fuses a convolution
/// also where something else reads it, which then gets the activation instead, and its sigmoid gives other bits than the
/// operator alone.
inline bool is_fusible(const std::string& json) {
  const std::optional<Json> graph = JsonReader(json).read();
  const Json* const list = graph ? graph->find("nodes") : nullptr;
  const Json* const heads = graph ? graph->find("heads") : nullptr;
  if (!list || !heads) return false;
  const auto is = [](const Json* settings, const std::string& key, const std::string& text) {
    const Json* const value = settings ? settings->find(key) : nullptr;
    return value && value->text == text;
  };
  std::vector<unsigned> readers(list->items.size(), 0);
  const auto count = [&](const Json& entry) {
    const auto source = entry.items.empty() ? std::nullopt : entry.items[0].number();
    if (source && *source < readers.size()) ++readers[*source];
    return source;
  };
  std::vector<std::pair<std::size_t, const Json*>> followers;  // of convolutions
  for (const Json& node : list->items) {
    const Json* const inputs = node.find("inputs");
    if (!inputs) return false;
    for (const Json& entry : inputs->items) {
      const auto source = count(entry);
      if (!source || *source >= list->items.size()) return false;
      if (is(&list->items[*source], "op", "Convolution")) followers.emplace_back(*source, &node);
    }
  }
  for (const Json& head : heads->items) count(head);
  return std::all_of(followers.begin(), followers.end(), [&](const auto& follower) {
    const Json& node = *follower.second;
    const bool is_activation = is(&node, "op", "Activation");
    if (!is_activation) return !is(&node, "op", "LeakyReLU") && !is(&node, "op", "clip");
    const Json* const settings = node.find("attrs");
    return readers[follower.first] == 1 && (is(settings, "act_type", "relu") || is(settings, "act_type", "tanh"));
  });
}

}  // namespace detail

/// Make MXNet compute in the thread that calls this, on every core. By default it hands each network over to a thread of
/// its own, which uses half of the cores.
///
/// For programs in which only one thread uses MXNet, before anything else here; in other threads executors and images
/// then throw Error, and so does this after MXNet has been used. OMP_NUM_THREADS, where it is set, remains the number of
/// cores; where MXNET_ENGINE_TYPE names another engine than NaiveEngine, nothing happens.
inline void compute_in_this_thread() {
  const std::string engine = detail::environment("MXNET_ENGINE_TYPE");
  if ((!engine.empty() && engine != "NaiveEngine") || detail::only_thread() == std::this_thread::get_id()) return;
  if (detail::is_used()) throw Error("compute_in_this_thread was called after MXNet had been used: call it first");
  detail::check_thread();
  ::setenv("MXNET_ENGINE_TYPE", "NaiveEngine", 1);
  detail::only_thread() = std::this_thread::get_id();
  cpu_set_t cores;
  if (detail::environment("OMP_NUM_THREADS").empty() && ::sched_getaffinity(0, sizeof cores, &cores) == 0) {
    detail::check(MXSetNumOMPThreads(CPU_COUNT(&cores)));
  }
}

/// A graph of operators, read from JSON.
class Symbol {
 public:
  explicit Symbol(const std::string& json) {
    detail::register_operators();
    SymbolHandle handle = nullptr;
    detail::check(MXSymbolCreateFromJSON(json.c_str(), &handle));
    handle_.reset(handle);
  }

  /// Return the names of the inputs and weights.
  std::vector<std::string> arguments() const { return list(MXSymbolListArguments); }

  /// Return the names of the auxiliary states, such as moving averages of BatchNorm.
  std::vector<std::string> auxiliary_states() const { return list(MXSymbolListAuxiliaryStates); }

  /// Return the shapes of the inputs and weights, then of the auxiliary states, for inputs of these shapes. Throws Error
  /// if the graph does not take them.
  std::vector<Shape> infer_shapes(const std::map<std::string, Shape>& inputs) const { return infer(inputs, {0U, 2U}); }

  /// Return the shapes of the heads for inputs of these shapes.
  std::vector<Shape> infer_heads(const std::map<std::string, Shape>& inputs) const { return infer(inputs, {1U}); }

  /// Return whether exactly one node with one output has a name.
  bool has_output(const std::string& name) const {
    SymbolHandle handle = nullptr;
    detail::check(MXSymbolGetInternals(handle_.get(), &handle));
    const detail::Owner<MXSymbolFree> owner(handle);
    mx_uint count = 0;
    const char** names = nullptr;
    detail::check(MXSymbolListOutputs(handle, &count, &names));
    return std::count(names, names + count, name + "_output") == 1;
  }

  /// The handle, for MXNet's C API; the symbol keeps it.
  SymbolHandle handle() const { return handle_.get(); }

  /// Return the graph as JSON, without nodes that no head needs.
  std::string json() const { return json(handle_.get()); }

  /// Return the attribute of a node, or an empty string.
  std::string attribute(const std::string& node, const std::string& name) const {
    mx_uint count = 0;
    const char** pairs = nullptr;
    detail::check(MXSymbolListAttr(handle_.get(), &count, &pairs));
    for (mx_uint i = 0; i < count; ++i) {
      if (node + "$" + name == pairs[2 * i]) return pairs[2 * i + 1];
    }
    return "";
  }

  /// Return the graph as JSON with each convolution and the activation after it as one operator, which gives the same
  /// bits; an empty text if MXNet, built without oneDNN, cannot do it, or if it does more or changes what it computes.
  ///
  /// It also fuses a convolution with BatchNorm, which changes bits, and with an addition, which overwrites what others
  /// still read.
  std::string fused() const {
    if (!detail::is_fusible(json())) return "";
    SymbolHandle handle = nullptr;
    if (MXGenBackendSubgraph(handle_.get(), "MKLDNN", &handle) != 0) return "";
    const detail::Owner<MXSymbolFree> owner(handle);
    const std::string fused = json(handle);
    for (const char* more : {"\"with_bn\"", "\"with_sum\"", "\"_sg_mkldnn_fully_connected\""}) {
      if (fused.find(more) != std::string::npos) return "";
    }
    return fused;
  }

 private:
  /// Return shapes of these kinds: 0 arguments, 1 heads, 2 auxiliary states.
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

  static std::string json(SymbolHandle handle) {
    const char* text = nullptr;
    detail::check(MXSymbolSaveToJSON(handle, &text));
    return text;
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

/// The arrays of a .params file, by name ("arg:..." and "aux:...").
class ArrayList {
 public:
  struct Array {
    Shape shape;
    std::vector<float> values;
  };

  /// Throws Error if the content is no whole file. MXNet's own reader believes the sizes in the file: a small one may
  /// take all memory. Source: MXNet 1.9.1, NDArray::Save, versions 2 and 3.
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
      take(std::uint64_t{});  // the device
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

  bool contains(const std::string& name) const { return arrays_.count(name) != 0; }
  const Array& at(const std::string& name) const { return arrays_.at(name); }
  const std::map<std::string, Array>& all() const { return arrays_; }

 private:
  std::map<std::string, Array> arrays_;
};

/// A graph bound to its weights for one input shape, on the CPU. One thread at a time may use it.
class Executor {
 public:
  /// The input is called "data"; `input_shape` starts with the batch size. Only what the head called `head` needs is
  /// computed.
  Executor(const std::string& json, const std::string& parameters, const Shape& input_shape, const std::string& head)
      : input_size_(volume(input_shape)) {
    detail::check_thread();
    const std::string fused = fuse(json, head), &graph = fused.empty() ? json : fused;
    const char* key = "data";
    const char* head_key = head.c_str();
    const mx_uint offsets[] = {0, static_cast<mx_uint>(input_shape.size())};
    PredictorHandle handle = nullptr;
    detail::check(MXPredCreatePartialOut(graph.c_str(), parameters.data(), static_cast<int>(parameters.size()), 1, 0, 1,
                                         &key, offsets, input_shape.data(), 1, &head_key, &handle));
    handle_.reset(handle);
    mx_uint* sides = nullptr;
    mx_uint axes = 0;
    detail::check(MXPredGetOutputShape(handle, 0, &sides, &axes));
    output_shape_.assign(sides, sides + axes);
    int type = 0;
    detail::check(MXPredGetOutputType(handle, 0, &type));
    if (type != 0) throw Error("the output " + head + " is not float32");
  }

  Executor(Executor&&) noexcept = default;
  /// Exchanges the two, so that moving one to itself changes nothing.
  Executor& operator=(Executor&& other) noexcept {
    handle_.swap(other.handle_);
    std::swap(input_size_, other.input_size_);
    output_shape_.swap(other.output_shape_);
    return *this;
  }

  /// The shape of the head.
  const Shape& output_shape() const { return output_shape_; }

  /// Run the graph on an input of exactly the bound shape.
  void forward(const std::vector<float>& input) {
    detail::check_thread();
    if (!handle_) throw Error("an executor was used after it was moved from");
    if (input.size() != input_size_) {
      throw Error("the graph was given " + std::to_string(input.size()) + " values: it takes " +
                  std::to_string(input_size_));
    }
    detail::check(MXPredSetInput(handle_.get(), "data", input.data(), static_cast<mx_uint>(input.size())));
    detail::check(MXPredForward(handle_.get()));
  }

  /// Return the values of the head after forward().
  std::vector<float> output() const {
    if (!handle_) throw Error("an executor was used after it was moved from");
    std::vector<float> values(volume(output_shape_));
    detail::check(MXPredGetOutput(handle_.get(), 0, values.data(), static_cast<mx_uint>(values.size())));
    static const detail::WaitAtExit wait;  // made after what oneDNN keeps, and so gone before it
    return values;
  }

 private:
  /// Return Symbol::fused, or an empty text if the head has gone into another operator.
  static std::string fuse(const std::string& json, const std::string& head) {
    const bool is_ours = detail::fuse_nothing();
    const std::string fused = is_ours ? Symbol(json).fused() : "";
    return !fused.empty() && Symbol(fused).has_output(head) ? fused : "";
  }

  detail::Owner<MXPredFree> handle_;
  std::size_t input_size_;
  Shape output_shape_;
};

/// An array of bytes in MXNet's memory, and the operators on it.
class ByteArray {
 public:
  ByteArray(const std::string& bytes, const Shape& shape) {
    detail::check_thread();
    NDArrayHandle handle = nullptr;
    constexpr int cpu = 1, uint8 = 3;
    detail::check(MXNDArrayCreateEx(shape.data(), static_cast<mx_uint>(shape.size()), cpu, 0, 0, uint8, &handle));
    handle_.reset(handle);
    detail::check(MXNDArraySyncCopyFromCPU(handle, bytes.data(), bytes.size()));
  }

  /// Return the result of an operator with one input and one output.
  ByteArray apply(const std::string& name, const std::map<std::string, std::string>& settings) const {
    void* function = nullptr;
    detail::check(NNGetOpHandle(name.c_str(), &function));
    std::vector<const char*> keys, values;
    for (const auto& [key, value] : settings) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
    NDArrayHandle input = handle_.get();
    NDArrayHandle* outputs = nullptr;
    int count = 0;
    detail::check(MXImperativeInvoke(function, 1, &input, &count, &outputs, static_cast<int>(keys.size()), keys.data(),
                                     values.data()));
    return ByteArray(outputs[0]);
  }

  Shape shape() const {
    int axes = 0;
    const int* sides = nullptr;
    detail::check(MXNDArrayGetShapeEx(handle_.get(), &axes, &sides));
    return Shape(sides, sides + axes);
  }

  std::string bytes() const {
    std::string content(volume(shape()), '\0');
    detail::check(MXNDArraySyncCopyToCPU(handle_.get(), content.data(), content.size()));
    return content;
  }

 private:
  explicit ByteArray(NDArrayHandle handle) : handle_(handle) {}

  detail::Owner<MXNDArrayFree> handle_;
};

}  // namespace vqvae
