#pragma once

/// @file
/// Many images at once, by several threads: images in, results in the same order.
///
///     int main() {
///       vqvae::BatchCodec codec("pre-trained", 2);    // two threads
///       std::vector<vqvae::Image> images;
///       for (const std::string name : {"a.png", "b.png"}) images.push_back(codec.read_image(name));
///       const std::vector<vqvae::Codes> codes = codec.encode(images);
///       const std::vector<vqvae::Image> reconstructions = codec.decode(codes);
///     }
///
/// Threads: any number of threads may call it at the same time; they share its codecs, and wait for one where all are
/// at work. It is of no use after compute_in_this_thread(). Lifetime: it must end before main does, and after all
/// calls. Errors are exceptions of type vqvae::Error; of several wrong images the first one's.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <future>
#include <iterator>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "vqvae/codec.hpp"
#include "vqvae/detail/mxnet.hpp"
#include "vqvae/error.hpp"
#include "vqvae/shape.hpp"
#include "vqvae/threads.hpp"

namespace vqvae {

/// Encodes, decodes and reconstructs any number of images by a codec for each of several threads.
///
/// The results are those of Codec, bit for bit. Neither to be copied nor moved.
class BatchCodec {
 public:
  /// `threads` is how many images are at work at once, each on an equal part of the cores; each time a thread takes up
  /// to `batch_size` images. OMP_NUM_THREADS, where it is set, is the number of cores of each instead. Throws Error as
  /// Codec does, and for a number of threads that is not from 1 to 1024.
  explicit BatchCodec(const std::filesystem::path& folder, unsigned threads = detail::cores(),
                      unsigned batch_size = 50) {
    detail::share_cores(threads);
    for (unsigned i = 0; i < threads; ++i) {
      codecs_.push_back(Codec(folder, batch_size, detail::device_of(i, threads)));
    }
    for (Codec& codec : codecs_) idle_.push_back(&codec);
  }
  BatchCodec(const BatchCodec&) = delete;
  BatchCodec& operator=(const BatchCodec&) = delete;

  /// One of the codecs, to be asked for shapes and the digest of the codebook.
  const Codec& codec() const { return codecs_.front(); }

  /// Read an image file in the shape of the model, see vqvae::read_image.
  Image read_image(const std::filesystem::path& file, bool strict = false, const std::string& background = "") const {
    return codec().read_image(file, strict, background);
  }

  /// Return the codes of each image. Throws Error for an image of another shape.
  std::vector<Codes> encode(const std::vector<Image>& images) {
    return map<Codes>(images, [](Codec& codec, const std::vector<Image>& some) { return codec.encode(some); });
  }

  /// Return the image of each element's codes. Throws Error for a wrong count or a code out of range.
  std::vector<Image> decode(const std::vector<Codes>& codes) {
    return map<Image>(codes, [](Codec& codec, const std::vector<Codes>& some) { return codec.decode(some); });
  }

  /// Return decode(encode(images)).
  std::vector<Image> reconstruct(const std::vector<Image>& images) {
    return map<Image>(images, [](Codec& codec, const std::vector<Image>& some) { return codec.reconstruct(some); });
  }

 private:
  /// A codec that no other thread has meanwhile.
  class Loan {
   public:
    explicit Loan(BatchCodec& owner) : owner_(owner) {
      std::unique_lock<std::mutex> lock(owner_.mutex_);
      owner_.is_idle_.wait(lock, [&] { return !owner_.idle_.empty(); });
      codec_ = owner_.idle_.back();
      owner_.idle_.pop_back();
    }
    ~Loan() {
      {
        const std::scoped_lock lock(owner_.mutex_);
        owner_.idle_.push_back(codec_);
      }
      owner_.is_idle_.notify_one();
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

    Codec& operator*() const { return *codec_; }

   private:
    BatchCodec& owner_;
    Codec* codec_;
  };

  /// Return what `work` makes of the items, batch by batch.
  template <typename Result, typename Item, typename Work>
  std::vector<Result> map(const std::vector<Item>& items, const Work& work) {
    const std::size_t size = codec().batch_size(), batches = (items.size() + size - 1) / size;
    std::vector<Result> results(items.size());
    std::vector<std::exception_ptr> faults(batches);
    std::atomic<std::size_t> next{0};
    std::atomic<bool> is_wrong{false};
    const auto run = [&] {
      while (!is_wrong) {
        const std::size_t batch = next++;  // what is taken is done: no fault before another one is passed over
        if (batch >= batches) return;
        try {
          const auto at = [&](std::size_t place) { return static_cast<std::ptrdiff_t>(std::min(place, items.size())); };
          const std::vector<Item> some(items.begin() + at(batch * size), items.begin() + at((batch + 1) * size));
          std::vector<Result> made = work(*Loan(*this), some);
          std::move(made.begin(), made.end(), results.begin() + at(batch * size));
        } catch (...) {
          faults[batch] = std::current_exception();
          is_wrong = true;
        }
      }
    };
    std::vector<std::future<void>> others;
    for (std::size_t i = 1; i < std::min(codecs_.size(), batches); ++i) {
      others.push_back(std::async(std::launch::async, run));
    }
    run();
    for (std::future<void>& other : others) other.get();
    for (const std::exception_ptr& fault : faults) {
      if (fault) std::rethrow_exception(fault);
    }
    return results;
  }

  std::vector<Codec> codecs_;
  std::vector<Codec*> idle_;
  std::mutex mutex_;
  std::condition_variable is_idle_;
};

}  // namespace vqvae
