#pragma once

/// Bytes in MXNet's memory and MXNet's image operators, so that both languages decode and resize with the same code.

#include <map>
#include <string>
#include <vector>

#include "vqvae/detail/mxnet.hpp"
#include "vqvae/shape.hpp"

namespace vqvae::detail {

/// An array of bytes in MXNet's memory, and operators on it.
class ByteArray {
 public:
  ByteArray(const std::string& bytes, const Shape& shape) {
    check_thread();
    NDArrayHandle handle = nullptr;
    constexpr int cpu = 1, uint8 = 3;
    check(MXNDArrayCreateEx(shape.data(), static_cast<mx_uint>(shape.size()), cpu, 0, 0, uint8, &handle));
    handle_.reset(handle);
    check(MXNDArraySyncCopyFromCPU(handle, bytes.data(), bytes.size()));
  }

  /// Return the result of an operator with one input and one output.
  ByteArray apply(const std::string& name, const std::map<std::string, std::string>& settings) const {
    void* function = nullptr;
    check(NNGetOpHandle(name.c_str(), &function));
    std::vector<const char*> keys, values;
    for (const auto& [key, value] : settings) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
    NDArrayHandle input = handle_.get();
    NDArrayHandle* outputs = nullptr;
    int count = 0;
    check(MXImperativeInvoke(function, 1, &input, &count, &outputs, static_cast<int>(keys.size()), keys.data(),
                             values.data()));
    return ByteArray(outputs[0]);
  }

  Shape shape() const {
    int axes = 0;
    const int* sides = nullptr;
    check(MXNDArrayGetShapeEx(handle_.get(), &axes, &sides));
    return Shape(sides, sides + axes);
  }

  std::string bytes() const {
    std::string content(volume(shape()), '\0');
    check(MXNDArraySyncCopyToCPU(handle_.get(), content.data(), content.size()));
    return content;
  }

 private:
  explicit ByteArray(NDArrayHandle handle) : handle_(handle) {}

  Owner<MXNDArrayFree> handle_;
};

}  // namespace vqvae::detail
