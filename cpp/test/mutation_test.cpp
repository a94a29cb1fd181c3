/// Damaged files, one after the other in one process: each is refused with a one-line error, or gives a result.
///
/// Usage: mutation_test [COUNT] [SEED]

#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "vqvae/codec.hpp"

namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t limit) { return limit ? random() % limit : 0; }

std::string mutate(Random& random, std::string content) {
  switch (below(random, 6)) {
    case 0: return content.substr(0, below(random, content.size() + 1));
    case 1:
    case 2: {  // flipped bits, half the time near the start, where sizes and types are stored
      const std::size_t reach = random() % 2 ? content.size() : std::min<std::size_t>(content.size(), 200);
      for (std::size_t i = below(random, 8) + 1; i > 0 && reach > 0; --i) {
        const unsigned bit = 1U << below(random, 8);
        char& byte = content[below(random, reach)];
        byte = static_cast<char>(static_cast<unsigned char>(byte) ^ bit);
      }
      return content;
    }
    case 3: {  // a size that is too large
      const std::size_t place = below(random, content.size());
      return content.replace(place, std::min<std::size_t>(4, content.size() - place), "\xff\xff\xff\x7f");
    }
    case 4: return content.insert(below(random, content.size() + 1), std::string(below(random, 100), '\xa5'));
    default: {  // two parts swapped
      const std::size_t middle = below(random, content.size() + 1);
      return content.substr(middle) + content.substr(0, middle);
    }
  }
}

/// Return a PNG file of 28 x 28 RGBA pixels with these compressed rows.
std::string png_with_alpha(const std::string& rows) {
  using vqvae::detail::big_endian, vqvae::detail::png_chunk;
  const std::string header = big_endian(28) + big_endian(28) + std::string("\x08\x06\0\0\0", 5);
  return vqvae::detail::png_signature + png_chunk("IHDR", header) + png_chunk("IDAT", rows) + png_chunk("IEND", "");
}

/// A copy of the pre-trained model in which one file at a time is damaged.
class Playground {
 public:
  explicit Playground(bool with_manifest) {
    std::string pattern = (std::filesystem::temp_directory_path() / "vqvae-mutations-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw vqvae::Error(pattern + ": cannot be made");
    folder_ = pattern;
    std::filesystem::copy(std::filesystem::path(VQVAE_PRETRAINED) / "model", folder_ / "model",
                          std::filesystem::copy_options::recursive);
    if (with_manifest) std::filesystem::copy(std::filesystem::path(VQVAE_PRETRAINED) / "manifest.json", folder_);
  }
  ~Playground() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Playground(const Playground&) = delete;
  Playground& operator=(const Playground&) = delete;

  const std::filesystem::path& folder() const { return folder_; }

  /// Load the model with `file` damaged and reconstruct an image with it.
  void try_model(Random& random, const std::string& file, const vqvae::Image& image) const {
    const std::string whole = vqvae::read_file(folder_ / file);
    vqvae::write_file(folder_ / file, mutate(random, whole));
    try {
      vqvae::Codec(folder_).reconstruct({image});
    } catch (...) {
      vqvae::write_file(folder_ / file, whole);
      throw;
    }
    vqvae::write_file(folder_ / file, whole);
  }

  void try_image(const std::string& content) const {
    vqvae::write_file(folder_ / "image", content);
    vqvae::read_image(folder_ / "image", 1, 28, 28, false, "white");
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace

int main(int count, char** arguments) {
  const std::size_t mutations = count > 1 ? std::stoul(arguments[1]) : 300;
  Random random(count > 2 ? std::stoul(arguments[2]) : 0);
  const Playground bare(false), signed_model(true);
  const vqvae::Codec codec(VQVAE_PRETRAINED);
  const vqvae::Image image = codec.read_image(std::filesystem::path(VQVAE_DIGITS) / "3.png");
  const std::string png = vqvae::read_file(std::filesystem::path(VQVAE_DIGITS) / "3.png");
  const std::string stored = vqvae::detail::stored_deflate(std::string(28 * (1 + 4 * 28), '\1'));
  const std::string codes = vqvae::format_codes(vqvae::Codes(49, 7), 7);
  const std::string newest = "model_0_newest-";
  const std::map<std::string, std::function<void()>> kinds = {
      {"PNG", [&] { bare.try_image(mutate(random, png)); }},
      {"pixels of a PNG with alpha", [&] { bare.try_image(png_with_alpha(mutate(random, stored))); }},
      {"codes", [&] { vqvae::parse_codes("codes", mutate(random, codes), codec); }},
      {"encoder graph", [&] { bare.try_model(random, "model/vqvae.Encoder/" + newest + "symbol.json", image); }},
      {"decoder graph", [&] { bare.try_model(random, "model/vqvae.Decoder/" + newest + "symbol.json", image); }},
      {"encoder parameters", [&] { bare.try_model(random, "model/vqvae.Encoder/" + newest + "0000.params", image); }},
      {"decoder parameters", [&] { bare.try_model(random, "model/vqvae.Decoder/" + newest + "0000.params", image); }},
      {"manifest", [&] { signed_model.try_model(random, "manifest.json", image); }},
      {"signed parameters",
       [&] { signed_model.try_model(random, "model/vqvae.Encoder/" + newest + "0000.params", image); }},
  };
  std::size_t refused = 0, lines = 0;
  for (std::size_t i = 0; i < mutations; ++i) {
    const auto kind = std::next(kinds.begin(), static_cast<std::ptrdiff_t>(i % kinds.size()));
    try {
      kind->second();
    } catch (const vqvae::Error& error) {
      ++refused;
      const std::string message = error.what();
      if (message.empty() || message.find('\n') != std::string::npos) {
        check::that(false, kind->first + ": an error that is not one line: " + message);
        ++lines;
      }
    }
  }
  check::that(lines == 0, std::to_string(mutations) + " mutations: " + std::to_string(refused) +
                              " refused with one line, " + std::to_string(mutations - refused) + " gave a result");
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  check::that(usage.ru_maxrss < 1024 * 1024, "peak memory: " + std::to_string(usage.ru_maxrss / 1024) + " MiB");
  return check::failures;
}
