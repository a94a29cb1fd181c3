#pragma once

/// @file
/// A network bound to its weights, for one input and one head: the lower floor of Codec.
///
///     const std::filesystem::path part = "pre-trained/model/vqvae.Encoder";
///     vqvae::Executor executor(vqvae::read_file(part / "model_0_newest-symbol.json"),
///                              vqvae::read_file(part / "model_0_newest-0000.params"), {8, 1, 28, 28}, "encoding");
///     executor.forward(std::vector<float>(8 * 28 * 28));    // eight black images
///     const std::vector<float> encoding = executor.output();  // of shape executor.output_shape()
///
/// Threads: one at a time may use an executor, and each thread may have its own; after compute_in_this_thread() only
/// that thread. Lifetime: it must end before main does. The files are believed: Codec checks those of a stranger first.

#include <string>
#include <utility>
#include <vector>

#include "vqvae/detail/fusion.hpp"
#include "vqvae/detail/mxnet.hpp"
#include "vqvae/error.hpp"
#include "vqvae/shape.hpp"

namespace vqvae {

/// A graph bound to its weights for one input shape, on the CPU. One thread at a time may use it.
class Executor {
 public:
  /// The input is called "data"; `input_shape` starts with the batch size. Only what the head called `head` needs is
  /// computed, on a CPU device of MXNet, which is a thread of its engine. Throws Error for what MXNet cannot run.
  Executor(const std::string& json, const std::string& parameters, const Shape& input_shape, const std::string& head,
           unsigned device = 0)
      : input_size_(volume(input_shape)) {
    detail::check_thread();
    const std::string fused = detail::fused(json, head), &graph = fused.empty() ? json : fused;
    const char* key = "data";
    const char* head_key = head.c_str();
    const mx_uint offsets[] = {0, static_cast<mx_uint>(input_shape.size())};
    PredictorHandle handle = nullptr;
    detail::check(MXPredCreatePartialOut(graph.c_str(), parameters.data(), static_cast<int>(parameters.size()), 1,
                                         static_cast<int>(device), 1, &key, offsets, input_shape.data(), 1, &head_key,
                                         &handle));
    handle_.reset(handle);
    mx_uint* sides = nullptr;
    mx_uint axes = 0;
    detail::check(MXPredGetOutputShape(handle, 0, &sides, &axes));
    output_shape_.assign(sides, sides + axes);
    int type = 0;
    detail::check(MXPredGetOutputType(handle, 0, &type));
    if (type != 0) throw Error("the output " + head + " is not float32");
  }

  /// Takes over the other one's graph; using that one throws Error then.
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
  detail::Owner<MXPredFree> handle_;
  std::size_t input_size_;
  Shape output_shape_;
};

}  // namespace vqvae
