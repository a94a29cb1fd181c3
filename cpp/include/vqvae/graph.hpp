#pragma once

/// @file
/// A network with several inputs and heads whose arrays stay in place between runs, as a sampler needs.
///
///     vqvae::Graph graph(symbol, {{"before", {2}}, {"place", {2}}}, vqvae::to_weights(arrays));
///     graph.input("before").set({3, 5});                    // or write to graph.input("before").values()
///     const std::vector<const float*>& heads = graph.run();   // valid until the next run
///
/// Threads: only one thread at a time may use a graph; several graphs may share their weights, also across threads.
/// Lifetime: graphs and arrays must be destroyed before main returns. The files are trusted; Sampler checks untrusted
/// ones first.

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/detail/mxnet.hpp"
#include "vqvae/error.hpp"
#include "vqvae/parameters.hpp"
#include "vqvae/shape.hpp"
#include "vqvae/symbol.hpp"

namespace vqvae {

/// A float32 array in MXNet's memory on the CPU.
class FloatArray {
 public:
  /// Create an array of zeros on a CPU device of MXNet.
  explicit FloatArray(const Shape& shape, unsigned device = 0) : size_(volume(shape)) {
    detail::check_thread();
    NDArrayHandle handle = nullptr;
    constexpr int cpu = 1, float32 = 0;
    detail::check(MXNDArrayCreateEx(shape.data(), static_cast<mx_uint>(shape.size()), cpu, static_cast<int>(device), 0,
                                    float32, &handle));
    handle_.reset(handle);
    set(std::vector<float>(size_));
    void* first = nullptr;
    detail::check(MXNDArrayGetData(handle, &first));
    first_ = static_cast<float*>(first);
  }

  /// Copy all values. Throws Error for a different number of values.
  void set(const std::vector<float>& values) {
    if (values.size() != size_) {
      throw Error(std::to_string(values.size()) + " values were given: the array takes " + std::to_string(size_));
    }
    detail::check(MXNDArraySyncCopyFromCPU(handle_.get(), values.data(), values.size()));
  }

  /// The values. Write them only while no graph that reads them is running.
  float* values() { return first_; }
  /// The number of values.
  std::size_t size() const { return size_; }
  /// The handle, for MXNet's C API; the array keeps ownership.
  NDArrayHandle handle() const { return handle_.get(); }

 private:
  detail::Owner<MXNDArrayFree> handle_;
  std::size_t size_;
  float* first_ = nullptr;
};

/// The weights of a graph by name, without "arg:". Several graphs may share them.
using Weights = std::map<std::string, FloatArray>;

/// Return the weights of a parameter file, on a CPU device of MXNet.
inline std::shared_ptr<Weights> to_weights(const ArrayList& arrays, unsigned device = 0) {
  auto weights = std::make_shared<Weights>();
  for (const auto& [name, array] : arrays.all()) {
    const auto added = weights->emplace(name.substr(name.find(':') + 1), FloatArray(array.shape, device));
    added.first->second.set(array.values);
  }
  return weights;
}

/// A graph and its weights on the CPU, run as Gluon runs a hybridized block: no operators are fused unless
/// MXNET_SUBGRAPH_BACKEND is set. Only one thread at a time may use it.
class Graph {
 public:
  /// `inputs` maps the names of the inputs to their shapes; all other arguments must be among the weights, on the same
  /// CPU device of MXNet (each device is a thread of its engine). Throws Error if MXNet cannot run the graph.
  Graph(const Symbol& symbol, const std::map<std::string, Shape>& inputs, std::shared_ptr<Weights> weights,
        unsigned device = 0)
      : weights_(std::move(weights)) {
    detail::check_thread();
    for (const auto& [name, shape] : inputs) arrays_.emplace(name, FloatArray(shape, device));
    std::vector<NDArrayHandle> arguments;
    for (const std::string& name : symbol.arguments()) {
      const auto input = arrays_.find(name);
      arguments.push_back((input == arrays_.end() ? weights_->at(name) : input->second).handle());
    }
    std::vector<NDArrayHandle> gradients(arguments.size(), nullptr);
    std::vector<mx_uint> needs_none(arguments.size(), 0);
    ExecutorHandle handle = nullptr;
    constexpr int cpu = 1;
    detail::check(MXExecutorBindEX(symbol.handle(), cpu, static_cast<int>(device), 0, nullptr, nullptr, nullptr,
                                   static_cast<mx_uint>(arguments.size()), arguments.data(), gradients.data(),
                                   needs_none.data(), 0, nullptr, nullptr, &handle));
    executor_.reset(handle);
    mx_uint count = 0;
    NDArrayHandle* outputs = nullptr;
    detail::check(MXExecutorOutputs(handle, &count, &outputs));
    for (mx_uint i = 0; i < count; ++i) outputs_.emplace_back(outputs[i]);
    for (const auto& output : outputs_) {
      int type = 0;
      detail::check(MXNDArrayGetDType(output.get(), &type));
      if (type != 0) throw Error("an output is not float32");
    }
    heads_.resize(count);
  }

  /// Return the array of an input.
  FloatArray& input(const std::string& name) { return arrays_.at(name); }

  /// Run the graph and return a pointer to the values of each head, valid until the next run.
  const std::vector<const float*>& run() {
    detail::check_thread();
    detail::check(MXExecutorForward(executor_.get(), 0));
    for (std::size_t i = 0; i < heads_.size(); ++i) {
      detail::check(MXNDArrayWaitToRead(outputs_[i].get()));
      void* first = nullptr;
      detail::check(MXNDArrayGetData(outputs_[i].get(), &first));
      heads_[i] = static_cast<const float*>(first);
    }
    static const detail::WaitAtExit wait;  // constructed after oneDNN's own statics, and so destroyed before them
    return heads_;
  }

 private:
  std::shared_ptr<Weights> weights_;
  std::map<std::string, FloatArray> arrays_;  // the inputs
  detail::Owner<MXExecutorFree> executor_;
  std::vector<detail::Owner<MXNDArrayFree>> outputs_;
  std::vector<const float*> heads_;
};

}  // namespace vqvae
