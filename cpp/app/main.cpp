/// The program `vqvae`: the C++ twin of the Python commands encode, decode and reconstruct.

#include <fcntl.h>
#include <unistd.h>

#include <exception>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "vqvae/codec.hpp"

namespace {

const std::string usage =
    R"(usage: vqvae encode IMAGE                 print the codes of an image
       vqvae decode CODES OUT.png        make an image from codes (a file, or - for standard input)
       vqvae reconstruct IMAGE OUT.png   encode an image and decode its codes

IMAGE is a PNG, JPEG or BMP file; colour is converted to grayscale and another size is stretched,
16-bit and transparent images are refused.

options:
  --model DIR   a run of 'vqvae train' or its model folder (default: the pre-trained model)
  --strict      refuse what would have to be converted
  -h, --help    show this help message and exit
)";

/// Keeps MXNet's and libpng's notes off standard error while it lives; our errors come afterwards.
class QuietLibraries {
 public:
  QuietLibraries() : saved_(::dup(STDERR_FILENO)) {
    const int nowhere = ::open("/dev/null", O_WRONLY);
    if (nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
    if (nowhere >= 0) ::close(nowhere);
  }
  ~QuietLibraries() {
    if (saved_ >= 0) ::dup2(saved_, STDERR_FILENO);
    if (saved_ >= 0) ::close(saved_);
  }
  QuietLibraries(const QuietLibraries&) = delete;
  QuietLibraries& operator=(const QuietLibraries&) = delete;

 private:
  int saved_;
};

struct Options {
  std::vector<std::string> words;
  std::string model = VQVAE_PRETRAINED;
  bool strict = false, help = false;
};

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--model") {
      if (++i == arguments.size()) throw vqvae::Error("--model needs a folder; see vqvae --help");
      options.model = arguments[i];
    } else if (word == "--strict") {
      options.strict = true;
    } else if (word == "-h" || word == "--help") {
      options.help = true;
    } else if (word.size() > 1 && word[0] == '-') {
      throw vqvae::Error("unknown option " + word + "; see vqvae --help");
    } else {
      options.words.push_back(word);
    }
  }
  return options;
}

vqvae::Codes read_codes(const std::string& path, const vqvae::Codec& codec) {
  if (path != "-") return vqvae::parse_codes(path, vqvae::read_file(path), codec);
  const std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  return vqvae::parse_codes(path, text, codec);
}

void run(const Options& options) {
  const std::vector<std::string>& words = options.words;
  if (words.empty()) throw vqvae::Error("no command was given: encode, decode or reconstruct; see vqvae --help");
  const std::string& command = words[0];
  if (command != "encode" && command != "decode" && command != "reconstruct") {
    throw vqvae::Error("unknown command " + command + ": encode, decode or reconstruct; see vqvae --help");
  }
  if (words.size() != (command == "encode" ? 2U : 3U)) {
    throw vqvae::Error("wrong number of arguments for " + command + "; see vqvae --help");
  }
  const QuietLibraries quiet;
  vqvae::Codec codec(options.model);
  if (command == "decode") {
    vqvae::write_png(words[2], codec.decode(read_codes(words[1], codec)));
    return;
  }
  const vqvae::Codes codes = codec.encode(codec.read_image(words[1], options.strict));
  if (command == "reconstruct") {
    vqvae::write_png(words[2], codec.decode(codes));
    return;
  }
  std::cout << vqvae::format_codes(codes, codec.codes_shape()[1]) << std::flush;
  if (!std::cout) throw vqvae::Error("standard output: cannot be written");
}

}  // namespace

int main(int count, char** values) {
  try {
    const Options options = parse(std::vector<std::string>(values + 1, values + count));
    if (options.help) {
      std::cout << usage;
    } else {
      run(options);
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "vqvae: error: " << error.what() << "\n";
    return 2;
  }
}
