#pragma once

/// MXNet's C API: its errors as exceptions, owners of its handles, which threads may use it, and what it reads in the
/// environment.

#include <cstddef>
#include <cstdint>
// c_predict_api.h forgets the two headers above.
#include <mxnet/c_api.h>
#include <mxnet/c_predict_api.h>
#include <nnvm/c_api.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "vqvae/error.hpp"

namespace vqvae::detail {

/// Return the value of an environment variable, or an empty text.
inline std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

/// Whether it is left to us what MXNet fuses when it binds a graph: nothing, as in Gluon, but what fused() has fused.
///
/// MXNet fuses all it can by default and prints a line for every graph, unless two variables say otherwise; a backend
/// called "default" fuses the operators that it is given, which are none. They are set before main, when no other
/// thread can be reading the environment; those that are set already are left alone.
inline const bool is_fusion_ours = [] {
  ::setenv("MXNET_SUBGRAPH_VERBOSE", "0", 0);
  const bool is_ours = environment("MXNET_SUBGRAPH_BACKEND").empty();
  if (is_ours) ::setenv("MXNET_SUBGRAPH_BACKEND", "default", 1);
  return is_ours;
}();

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

/// Waits, when the process ends, for what MXNet's threads still have to free. They free a predictor whenever they come
/// to it, and a fused convolution ends the process with an error where oneDNN's memory is gone already.
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

/// Let MXNet know its operators of the old kind, Pad and LRN among them: it registers them only when somebody asks for
/// a list of all, and a graph that has one has no shapes until then.
inline void register_operators() {
  static const bool done = [] {
    mx_uint count = 0;
    AtomicSymbolCreator* creators = nullptr;
    check(MXSymbolListAtomicSymbolCreators(&count, &creators));
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace vqvae::detail
