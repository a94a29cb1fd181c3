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
/// Without either, a codec hands its work to the one thread that MXNet has, which uses half of the cores. The first
/// sets a variable of the environment, which child processes inherit: no other thread should be reading it yet, or
/// writing to std::cerr.

#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
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

/// Among how many CPU devices of MXNet the codecs and samplers are divided. To MXNet each device is a thread of its
/// engine.
inline std::atomic<unsigned>& device_count() {
  static std::atomic<unsigned> count{1};
  return count;
}

/// Return the number of MXNet's CPU device for the codec or sampler `number`, if they are divided among `count`.
///
/// Several devices leave device 0 alone: MXNet waits for a result by an operator of its own on that device, and while
/// a network runs there, the threads of all other devices would wait behind it.
inline unsigned device_of(unsigned number, unsigned count) { return count == 1 ? 0 : 1 + number % count; }

/// Return the device of the next codec or sampler.
inline unsigned next_device() {
  static std::atomic<unsigned> made{0};
  return device_of(made++, device_count());
}

/// Give the threads of `count` devices an equal part of the cores each, unless OMP_NUM_THREADS says how many.
inline void share_cores(unsigned count) {
  if (count < 1 || count > 1024) {
    throw Error("the number of threads was given as " + std::to_string(count) + ": it must be from 1 to 1024");
  }
  check_thread();
  if (!environment("OMP_NUM_THREADS").empty() || only_thread() != std::thread::id{}) return;
  const auto set = [](void* /*context*/, void* part) {
    MXSetNumOMPThreads(*static_cast<int*>(part));  // in that thread
  };
  const auto forget = [](void* part) { delete static_cast<int*>(part); };
  const int part = static_cast<int>(std::max(1U, cores() / count));
  for (unsigned number = 0; number < count; ++number) {
    // mxnet::Context: a kind of device, here a CPU, and its number
    const std::array<unsigned, 2> context{1, device_of(number, count)};
    check(MXEnginePushSync(set, new int(part), forget, context.data(), nullptr, 0, nullptr, 0));
  }
  check(MXNDArrayWaitAll());
}

}  // namespace detail

/// Make MXNet compute in the thread that calls this, on every core.
///
/// For programs in which only one thread uses MXNet, before anything else here; in other threads executors and images
/// then throw Error, and so does this after MXNet has been used. OMP_NUM_THREADS, where it is set, remains the number
/// of cores; where MXNET_ENGINE_TYPE names another engine than NaiveEngine, nothing happens.
inline void compute_in_this_thread() {
  const std::string engine = detail::environment("MXNET_ENGINE_TYPE");
  if ((!engine.empty() && engine != "NaiveEngine") || detail::only_thread() == std::this_thread::get_id()) return;
  if (detail::is_used()) throw Error("compute_in_this_thread was called after MXNet had been used: call it first");
  detail::check_thread();
  ::setenv("MXNET_ENGINE_TYPE", "NaiveEngine", 1);
  detail::only_thread() = std::this_thread::get_id();
  if (detail::environment("OMP_NUM_THREADS").empty()) {
    detail::check(MXSetNumOMPThreads(static_cast<int>(detail::cores())));
  }
  const detail::QuietThread quiet;  // MXNet says which engine it starts, if it is not the one by default
  detail::check(MXNDArrayWaitAll());
}

/// Make MXNet compute in `count` threads, each with an equal part of the cores: the codecs and samplers that are made
/// from now on take turns on them.
///
/// For programs in which several threads have a codec each; BatchCodec does it by itself. Throws Error for a count that
/// is not from 1 to 1024. OMP_NUM_THREADS, where it is set, is heeded instead. After compute_in_this_thread() it
/// changes nothing.
inline void compute_in_threads(unsigned count) {
  detail::share_cores(count);
  detail::device_count() = count;
}

}  // namespace vqvae
