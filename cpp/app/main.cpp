/// The program `vqvae`: the C++ twin of the Python commands encode, decode and reconstruct.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <exception>
#include <iostream>
#include <new>
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
  --explain     print the shape, range and checksum of the tensor that enters the encoder (standard error)
  --dump-input FILE   write that tensor as raw float32
  --strict      refuse what would have to be converted
  -h, --help    show this help message and exit
)";

/// Keep closed standard streams from being given to the next file that is opened; to use them still fails.
void hold_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) < 0) ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

/// Return text as one line: the names in it may hold line breaks and what moves a terminal's cursor.
std::string one_line(const std::string& text) {
  std::string result;
  for (const char letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    const std::string digits = "0123456789abcdef";
    if (code < 0x20U || code == 0x7FU) {
      result += std::string("\\x") + digits[code >> 4U] + digits[code & 15U];
    } else {
      result += letter;
    }
  }
  return result;
}

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
  std::string model = VQVAE_PRETRAINED, dump;
  bool strict = false, explain = false, help = false;
};

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--") {
      options.words.insert(options.words.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    if (word.rfind("--model=", 0) == 0) {
      options.model = word.substr(8);
    } else if (word.rfind("--dump-input=", 0) == 0) {
      options.dump = word.substr(13);
    } else if (word == "--model" || word == "--dump-input") {
      if (++i == arguments.size()) throw vqvae::Error(word + " needs a path; see vqvae --help");
      (word == "--model" ? options.model : options.dump) = arguments[i];
    } else if (word == "--explain") {
      options.explain = true;
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

void print(const std::string& text) {
  if (!vqvae::detail::write_all(STDOUT_FILENO, text)) {
    throw vqvae::Error("standard output: cannot be written (" + vqvae::detail::reason(errno) + ")");
  }
}

vqvae::Codes read_codes(const std::string& path, const vqvae::Codec& codec) {
  if (path != "-") return vqvae::parse_codes(path, vqvae::read_file(path), codec);
  std::string text;
  const std::string fault = vqvae::detail::read_all(STDIN_FILENO, text);
  if (!fault.empty()) throw vqvae::Error("standard input: " + fault);
  return vqvae::parse_codes(path, text, codec);
}

/// Return the codes of an image file, after showing what enters the encoder if asked to.
vqvae::Codes encode(vqvae::Codec& codec, const Options& options, std::string& explanation) {
  const vqvae::Image image = codec.read_image(options.words[1], options.strict);
  if (!options.explain && options.dump.empty()) return codec.encode(image);
  const std::vector<float> tensor = codec.to_tensor(image);
  if (options.explain) explanation = vqvae::explain(tensor, vqvae::batched(1, codec.image_shape()));
  if (!options.dump.empty()) vqvae::write_file(options.dump, vqvae::detail::to_bytes(tensor));
  return codec.encode(image);
}

/// Run the command and return what it has to say of the encoder's input.
std::string run(const Options& options) {
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
  vqvae::compute_in_this_thread();
  vqvae::Codec codec(options.model);
  std::string explanation;
  if (command == "decode") {
    vqvae::write_png(words[2], codec.decode(read_codes(words[1], codec)));
    return explanation;
  }
  const vqvae::Codes codes = encode(codec, options, explanation);
  if (command == "reconstruct") {
    vqvae::write_png(words[2], codec.decode(codes));
    return explanation;
  }
  print(vqvae::format_codes(codes, codec.codes_shape()[1]));
  return explanation;
}

}  // namespace

int main(int count, char** values) {
  hold_closed_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk, as in Python
  try {
    const Options options = parse(std::vector<std::string>(values + 1, values + count));
    if (options.help) {
      print(usage);
    } else {
      std::cerr << run(options);
    }
    return 0;
  } catch (const std::bad_alloc&) {
    std::cerr << "vqvae: error: there is not enough memory for this\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "vqvae: error: " << one_line(error.what()) << "\n";
    return 2;
  }
}
