#pragma once

/// @file
/// In which threads MXNet computes, to be chosen once, at the start of main.
///
///     int main() {
///       vqvae::compute_in_this_thread();         // one thread uses MXNet, on every core; or:
///       // vqvae::compute_in_threads(4);         // four threads have a codec each, and a part of the cores
///       vqvae::Codec codec("pre-trained");
///     }
///
/// Without either, a codec hands its work to the one thread that MXNet has, which uses half of the cores. Both set variables
/// of the environment, which child processes inherit: no other thread should be reading it yet, or writing to std::cerr.

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <streambuf>
#include <string>
#include <thread>

#include "vqvae/detail/mxnet.hpp"
#include "vqvae/error.hpp"

namespace vqvae {

namespace detail {

/// While it lives, std::cerr passes over what this thread writes and hands on what others do.
class QuietThread : std::streambuf {
 public:
  QuietThread() : state_(std::cerr.rdstate()), target_(std::cerr.rdbuf(this)) {}
  ~QuietThread() override {
    std::cerr.rdbuf(target_);
    std::cerr.clear(state_);
  }
  QuietThread(const QuietThread&) = delete;
  QuietThread& operator=(const QuietThread&) = delete;

 private:
  bool is_quiet() const { return std::this_thread::get_id() == thread_; }
  int_type overflow(int_type letter) override {
    const bool is_end = traits_type::eq_int_type(letter, traits_type::eof());
    if (is_quiet() || is_end) return traits_type::not_eof(letter);
    return target_->sputc(traits_type::to_char_type(letter));
  }
  std::streamsize xsputn(const char* text, std::streamsize count) override {
    return is_quiet() ? count : target_->sputn(text, count);
  }
  int sync() override { return is_quiet() ? 0 : target_->pubsync(); }

  const std::thread::id thread_ = std::this_thread::get_id();
  const std::ios_base::iostate state_;
  std::streambuf* const target_;
};

/// Return how many cores this process may use.
inline unsigned cores() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

/// Throw Error where MXNet runs already, and would not heed a choice any more.
inline void check_unused(const std::string& function) {
  if (is_used()) throw Error(function + " was called after MXNet had been used: call it first");
}

/// Let an operator of MXNet use a number of cores, unless OMP_NUM_THREADS says how many.
inline void use_cores(unsigned count) {
  if (environment("OMP_NUM_THREADS").empty()) check(MXSetNumOMPThreads(static_cast<int>(count)));
}

}  // namespace detail

/// Make MXNet compute in the thread that calls this, on every core.
///
/// For programs in which only one thread uses MXNet, before anything else here; in other threads executors and images
/// then throw Error, and so does this after MXNet has been used. OMP_NUM_THREADS, where it is set, remains the number of
/// cores; where MXNET_ENGINE_TYPE names another engine than NaiveEngine, nothing happens.
inline void compute_in_this_thread() {
  const std::string engine = detail::environment("MXNET_ENGINE_TYPE");
  if ((!engine.empty() && engine != "NaiveEngine") || detail::only_thread() == std::this_thread::get_id()) return;
  detail::check_unused("compute_in_this_thread");
  detail::check_thread();
  ::setenv("MXNET_ENGINE_TYPE", "NaiveEngine", 1);
  detail::only_thread() = std::this_thread::get_id();
  detail::use_cores(detail::cores());
  const detail::QuietThread quiet;  // MXNet says which engine it starts, if it is not the one by default
  detail::check(MXNDArrayWaitAll());
}

/// Give MXNet `count` threads, each with an equal part of the cores, for as many codecs or samplers at work at once.
///
/// For programs in which several threads have a codec each, before anything else here; BatchCodec does it by itself. Throws
/// Error after MXNet has been used, and for a count that is not from 1 to 1024. OMP_NUM_THREADS and
/// MXNET_CPU_WORKER_NTHREADS, where they are set, are heeded instead.
inline void compute_in_threads(unsigned count) {
  if (count < 1 || count > 1024) {
    throw Error("the number of threads was given as " + std::to_string(count) + ": it must be from 1 to 1024");
  }
  detail::check_unused("compute_in_threads");
  detail::check_thread();
  ::setenv("MXNET_CPU_WORKER_NTHREADS", std::to_string(count).c_str(), 0);
  detail::use_cores(std::max(1U, detail::cores() / count));
}

}  // namespace vqvae
