#pragma once

/// MXNet's C API: its errors as exceptions, owners of its handles, the threads that may use it, and the environment
/// variables that it reads.

#include <cstddef>
#include <cstdint>
// c_predict_api.h does not include the two headers above itself.
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

/// Return the value of an environment variable, empty if it is not set.
inline std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

/// Whether we choose what MXNet fuses when it binds a graph: nothing, as in Gluon, beyond what fused() has fused.
///
/// By default MXNet fuses all it can and prints a line for every graph; two variables change that. A backend called
/// "default" fuses the operators that it is given, which are none. The variables are set before main, when no other
/// thread can be reading the environment; those that are already set are left alone.
inline const bool is_fusion_ours = [] {
  ::setenv("MXNET_SUBGRAPH_VERBOSE", "0", 0);
  const bool is_ours = environment("MXNET_SUBGRAPH_BACKEND").empty();
  if (is_ours) ::setenv("MXNET_SUBGRAPH_BACKEND", "default", 1);
  return is_ours;
}();

/// Return the line of MXNet's last error that says what happened, without the stack trace around it.
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

/// Waits, when the process ends, until MXNet's threads have freed everything. They free predictors at some later time,
/// and a fused convolution that is freed after oneDNN's memory is gone ends the process with an error.
struct WaitAtExit {
  ~WaitAtExit() { MXNDArrayWaitAll(); }
};

/// The only thread that may use MXNet; the default id if every thread may.
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

/// Make MXNet register its legacy operators, such as Pad and LRN. It does so only when all operators are listed, and
/// cannot infer the shapes of a graph with such an operator until then.
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
