/// The program `vqvae`: the C++ version of the Python commands encode, decode, reconstruct and generate.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>
#include <optional>
#include <regex>
#include <string>
#include <system_error>
#include <vector>

#include "command_line.hpp"
#include "vqvae/codec.hpp"
#include "vqvae/generation.hpp"
#include "vqvae/sampler.hpp"

namespace {

const std::string usage =
    R"(usage: vqvae encode IMAGE                 print the codes of an image
       vqvae decode CODES OUT.png        decode an image from codes (a file, or - for standard input)
       vqvae reconstruct IMAGE OUT.png   encode an image and decode its codes
       vqvae generate [OUT.png]          generate new images, or complete one; OUT/ is a folder with a file for each

IMAGE is a PNG, JPEG or BMP file of 8 bits per channel; it is converted to the model's channels and
stretched to its size; with a used alpha channel it needs --background.

options:
  --model DIR   folder of a 'vqvae train' run, or a model folder (default: the pre-trained model)
  -h, --help    show this help message and exit
  --version     show the version and exit

options of encode and reconstruct:
  --explain     print the shape, range and checksum of the tensor that enters the encoder (standard error)
  --dump-input FILE   write that tensor as raw float32
  --strict      refuse an image that would have to be converted

options of encode, reconstruct and generate:
  --background COLOUR   black, white or #rrggbb: the colour behind transparent images (default: refuse them)

options of generate:
  --class C     the class to generate (default: any)
  --count N     number of images (default: 1)
  --seed S      seed of the random numbers (default: 0)
  --temperature T   1 samples what the prior has learnt, lower values favour likely codes, 0 takes the likeliest
                    (default: 1)
  --top-k K     sample from the K likeliest codes only (default: 0, all of them)
  --complete IMAGE --rows R   complete this image: keep the first R rows of its codes
  --codes       print the codes instead of writing images
)";

/// Keep the descriptors of closed standard streams from being reused for the next opened files; using these streams
/// still fails.
void hold_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) < 0) ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

/// Return text as one line: names in it may contain line breaks and control characters that move a terminal's cursor.
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

/// While it exists, keeps the messages of libpng and libjpeg, within MXNet, off standard error; our own errors are
/// printed afterwards.
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

/// Return the folder of the pre-trained model: under share for an installed program, else in the checkout that it was
/// built in.
std::string pretrained() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path installed = program.parent_path().parent_path() / "share/vqvae/pre-trained";
  return std::filesystem::is_directory(installed, error) ? installed.string() : VQVAE_PRETRAINED;
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

/// Return the codes of an image file; explain or dump the encoder's input if asked to.
vqvae::Codes encode(vqvae::Codec& codec, const Options& options, std::string& explanation) {
  const vqvae::Image image = codec.read_image(options.words[1], options.strict, options.value("--background"));
  const std::string dump = options.value("--dump-input");
  if (!options.explain && dump.empty()) return codec.encode(image);
  const std::vector<float> tensor = codec.to_tensor(image);
  if (options.explain) explanation = vqvae::explain(tensor, vqvae::batched(1, codec.image_shape()));
  if (!dump.empty()) vqvae::write_file(dump, vqvae::detail::to_bytes(tensor));
  return codec.encode(image);
}

/// Parse a whole number; return nothing for any other text.
std::optional<std::uint64_t> whole(const std::string& text) {
  const bool digits = !text.empty() && text.size() <= 18 && text.find_first_not_of("0123456789") == std::string::npos;
  return digits ? std::optional<std::uint64_t>(std::stoull(text)) : std::nullopt;
}

/// Parse a number; return -1 for any other text.
double number(const std::string& text) {
  static const std::regex pattern("([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?");
  return text.size() < 100 && std::regex_match(text, pattern) ? std::strtod(text.c_str(), nullptr) : -1;
}

/// Return the first rows of an image's codes.
vqvae::Codes first_rows(vqvae::Codec& codec, const Options& options) {
  const std::string text = options.value("--rows");
  const auto rows = whole(text);
  const vqvae::Shape& shape = codec.codes_shape();
  if (!rows || *rows < 1 || *rows > shape[0]) {
    throw vqvae::Error("rows was given as " + text + ": it must be from 1 to " + std::to_string(shape[0]));
  }
  try {
    vqvae::Codes codes =
        codec.encode(codec.read_image(options.value("--complete"), true, options.value("--background")));
    codes.resize(*rows * shape[1]);
    return codes;
  } catch (const vqvae::Error& error) {  // it may recommend a flag that this command ignores
    std::string message = error.what();
    const std::string advice = " or leave out --strict";
    const std::size_t found = message.find(advice);
    if (found != std::string::npos) message.erase(found, advice.size());
    throw vqvae::Error(message);
  }
}

/// Return what to sample; text that is not a number is refused with the message for a value out of range.
vqvae::SampleSettings sample_settings(vqvae::Sampler& sampler, const Options& options) {
  const std::string count = options.value("--count", "1"), seed = options.value("--seed", "0");
  const std::string heat = options.value("--temperature", "1"), top_k = options.value("--top-k", "0");
  vqvae::SampleSettings settings;
  settings.count = whole(count).value_or(0);
  if (settings.count < 1 || settings.count > vqvae::detail::most_images) {
    throw vqvae::Error(vqvae::detail::count_fault(count));
  }
  const auto start = whole(seed);
  if (!start || *start > 0xFFFFFFFFU) throw vqvae::Error(vqvae::detail::seed_fault(seed));
  settings.seed = static_cast<std::uint32_t>(*start);
  settings.temperature = number(heat);
  if (!vqvae::detail::is_temperature(settings.temperature)) throw vqvae::Error(vqvae::detail::temperature_fault(heat));
  const auto most = whole(top_k);
  const unsigned codes = sampler.codec().num_embeddings();
  if (!most || *most > codes) throw vqvae::Error(vqvae::detail::top_k_fault(top_k, codes));
  settings.top_k = static_cast<unsigned>(*most);
  if (options.has("--class")) settings.label = options.value("--class");
  if (options.has("--complete")) settings.given = first_rows(sampler.codec(), options);
  return settings;
}

/// Whether the program was asked to stop.
volatile std::sig_atomic_t is_stopped = 0;
void stop(int /*number*/) { is_stopped = 1; }

/// Thrown to end a command and leave nothing behind.
struct Stopped {};

/// Refuse an output that is the input image's own file.
void check_output(const std::string& output, const std::string& image) {
  std::error_code none;
  if (std::filesystem::equivalent(output, image, none) && std::filesystem::is_regular_file(image, none)) {
    throw vqvae::Error(output + ": is the image that is read; give the output another name");
  }
}

void generate(const Options& options) {
  const bool to_file = options.words.size() == 2;
  if (options.codes && to_file) {
    throw vqvae::Error(options.words[1] + " was given beside --codes, which prints; leave one out");
  }
  if (!options.codes && !to_file) {
    throw vqvae::Error("nowhere to write to: give OUT.png, a folder OUT/, or --codes to print");
  }
  if (options.has("--complete") != options.has("--rows")) {
    throw vqvae::Error("--complete and --rows belong together: give an image and how many rows of its codes to keep");
  }
  if (to_file && options.has("--complete")) check_output(options.words[1], options.value("--complete"));
  const QuietLibraries quiet;
  vqvae::compute_in_this_thread();
  vqvae::Sampler sampler(options.value("--model", pretrained()));
  const vqvae::SampleSettings settings = sample_settings(sampler, options);
  if (to_file) {
    for (const int number : {SIGINT, SIGTERM}) {
      if (std::signal(number, stop) == SIG_IGN) std::signal(number, SIG_IGN);  // as under nohup
    }
    vqvae::write_images(sampler, settings, options.words[1], [] {
      if (is_stopped != 0) throw Stopped{};
    });
    return;
  }
  const unsigned width = sampler.codec().codes_shape()[1];
  sampler.sample(settings, [&](const std::vector<vqvae::Codes>& codes) {
    for (const vqvae::Codes& image : codes) print(vqvae::format_codes(image, width));
  });
}

/// Run the command and return its explanation of the encoder's input, if any.
std::string run(const Options& options) {
  const std::vector<std::string>& words = options.words;
  const std::string commands = "encode, decode, reconstruct or generate; see vqvae --help";
  if (words.empty()) throw vqvae::Error("no command was given: " + commands);
  const std::string& command = words[0];
  if (command != "encode" && command != "decode" && command != "reconstruct" && command != "generate") {
    throw vqvae::Error("unknown command " + command + ": " + commands);
  }
  const bool fits = command == "generate" ? words.size() <= 2 : words.size() == (command == "encode" ? 2U : 3U);
  if (!fits) throw vqvae::Error("wrong number of arguments for " + command + "; see vqvae --help");
  vqvae::parse_background(options.value("--background"));
  if (command == "reconstruct") check_output(words[2], words[1]);
  std::string explanation;
  if (command == "generate") {
    generate(options);
    return explanation;
  }
  const QuietLibraries quiet;
  vqvae::compute_in_this_thread();
  vqvae::Codec codec(options.value("--model", pretrained()));
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
  std::signal(SIGXFSZ, SIG_IGN);  // exceeding the file size limit is an error like a full disk, as in Python
  try {
    const Options options = parse(std::vector<std::string>(values + 1, values + count));
    if (options.help) {
      print(usage);
    } else if (options.version) {
      print(VQVAE_VERSION "\n");
    } else {
      std::cerr << run(options);
    }
    return 0;
  } catch (const Stopped&) {
    std::cerr << "vqvae: stopped\n";
    return 130;
  } catch (const std::bad_alloc&) {
    std::cerr << "vqvae: error: there is not enough memory for this\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "vqvae: error: " << one_line(error.what()) << "\n";
    return 2;
  }
}
