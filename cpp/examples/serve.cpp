/// Answers requests in several threads, each with its own codec. A line of standard input is the path of an image; a
/// line of standard output is that path, a tab, and the image's codes or an error. Answers are printed as they become
/// ready.
///
/// Usage: serve MODEL [THREADS]

#include <exception>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <vqvae/codec.hpp>

namespace {

std::string answer(vqvae::Codec& codec, const std::string& path) {
  try {
    std::string text;
    for (const int code : codec.encode(codec.read_image(path))) {
      text += (text.empty() ? "" : " ") + std::to_string(code);
    }
    return text;
  } catch (const vqvae::Error& error) {
    return std::string("error: ") + error.what();
  }
}

/// Answer until no request is left.
void serve(vqvae::Codec& codec, std::mutex& input, std::mutex& output) {
  while (true) {
    std::string path;
    {
      const std::scoped_lock lock(input);
      if (!std::getline(std::cin, path)) return;
    }
    const std::string text = answer(codec, path);
    const std::scoped_lock lock(output);
    std::cout << path << "\t" << text << '\n' << std::flush;
  }
}

}  // namespace

int main(int count, char** words) {
  if (count < 2 || count > 3) {
    std::cerr << "usage: serve MODEL [THREADS]\n";
    return 2;
  }
  try {
    const auto threads = static_cast<unsigned>(count == 3 ? std::stoul(words[2]) : 2);
    vqvae::compute_in_threads(threads);
    std::vector<vqvae::Codec> codecs;
    for (unsigned i = 0; i < threads; ++i) codecs.emplace_back(words[1]);
    std::mutex input, output;
    std::vector<std::thread> workers;
    for (vqvae::Codec& codec : codecs) workers.emplace_back([&] { serve(codec, input, output); });
    for (std::thread& worker : workers) worker.join();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "serve: error: " << error.what() << "\n";
    return 2;
  }
}
