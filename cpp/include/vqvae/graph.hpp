#pragma once

/// A graph with several inputs and heads whose inputs stay in place between runs, as a sampler needs it.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/error.hpp"
#include "vqvae/mxnet.hpp"

namespace vqvae {

/// An array of float32 in MXNet's memory on the CPU.
class FloatArray {
 public:
  /// Filled with zeros.
  explicit FloatArray(const Shape& shape) : size_(volume(shape)) {
    detail::check_thread();
    NDArrayHandle handle = nullptr;
    constexpr int cpu = 1, float32 = 0;
    detail::check(MXNDArrayCreateEx(shape.data(), static_cast<mx_uint>(shape.size()), cpu, 0, 0, float32, &handle));
    handle_.reset(handle);
    set(std::vector<float>(size_));
    void* first = nullptr;
    detail::check(MXNDArrayGetData(handle, &first));
    first_ = static_cast<float*>(first);
  }

  /// Copy all values. Throws Error for another number of them.
  void set(const std::vector<float>& values) {
    if (values.size() != size_) {
      throw Error(std::to_string(values.size()) + " values were given: the array takes " + std::to_string(size_));
    }
    detail::check(MXNDArraySyncCopyFromCPU(handle_.get(), values.data(), values.size()));
  }

  /// The values, to be written only while no graph runs that reads them.
  float* values() { return first_; }
  std::size_t size() const { return size_; }
  NDArrayHandle handle() const { return handle_.get(); }

 private:
  detail::Owner<MXNDArrayFree> handle_;
  std::size_t size_;
  float* first_ = nullptr;
};

/// A graph and its weights on the CPU, run as Gluon runs a hybridized block: nothing is fused. One thread at a time may
/// use it.
class Graph {
 public:
  /// `inputs` are the names and shapes of the inputs, `weights` ("arg:<name>") the values of all other arguments.
  Graph(const Symbol& symbol, const std::map<std::string, Shape>& inputs, const ArrayList& weights) {
    detail::check_thread();
    for (const std::string& name : symbol.arguments()) {
      const auto input = inputs.find(name);
      const ArrayList::Array* const weight = input == inputs.end() ? &weights.at("arg:" + name) : nullptr;
      const auto added = arrays_.emplace(name, FloatArray(weight ? weight->shape : input->second));
      if (weight) added.first->second.set(weight->values);
      handles_.push_back(added.first->second.handle());
    }
    const char* keys[] = {"static_alloc", "static_shape"};
    const char* values[] = {"True", "True"};
    CachedOpHandle handle = nullptr;
    detail::check(MXCreateCachedOpEx(symbol.handle(), 2, keys, values, &handle));
    operator_.reset(handle);
  }

  /// Return the array of an input.
  FloatArray& input(const std::string& name) { return arrays_.at(name); }

  /// Run the graph and return the values of each head.
  std::vector<std::vector<float>> run() {
    detail::check_thread();
    int count = 0;
    NDArrayHandle* outputs = nullptr;
    detail::check(MXInvokeCachedOp(operator_.get(), static_cast<int>(handles_.size()), handles_.data(), &count, &outputs));
    std::vector<detail::Owner<MXNDArrayFree>> owners;
    for (int i = 0; i < count; ++i) owners.emplace_back(outputs[i]);
    std::vector<std::vector<float>> heads;
    for (const auto& owner : owners) {
      int axes = 0;
      const int* sides = nullptr;
      detail::check(MXNDArrayGetShapeEx(owner.get(), &axes, &sides));
      std::vector<float> head(volume(Shape(sides, sides + axes)));
      detail::check(MXNDArraySyncCopyToCPU(owner.get(), head.data(), head.size()));
      heads.push_back(std::move(head));
    }
    static const detail::WaitAtExit wait;  // made after what oneDNN keeps, and so gone before it
    return heads;
  }

 private:
  std::map<std::string, FloatArray> arrays_;
  std::vector<NDArrayHandle> handles_;  // of all arguments, in the order of the graph
  detail::Owner<MXFreeCachedOp> operator_;
};

}  // namespace vqvae
