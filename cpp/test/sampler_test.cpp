/// The sampler: how a code is chosen, stored codes, threads, refusals.

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <limits>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "check.hpp"
#include "vqvae/generation.hpp"
#include "vqvae/sampler.hpp"

namespace {

using vqvae::Codes;
using vqvae::Error;
using vqvae::Sampler;
using vqvae::SampleSettings;

/// The model of first_export with the prior of first_prior; see src/test/deploy/test_sampler.py.
class Model {
 public:
  Model() {
    std::string pattern = (std::filesystem::temp_directory_path() / "vqvae-sampler-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw Error(pattern + ": cannot be made");
    folder_ = pattern;
    const std::filesystem::path stored = VQVAE_STORED;
    for (const char* const part : {"vqvae.Encoder", "vqvae.Decoder"}) {
      std::filesystem::copy(stored / "first_export" / part, folder_ / part);
    }
    std::filesystem::copy(stored / "first_prior", folder_ / "vqvae.Prior");
  }
  ~Model() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

SampleSettings settings_of(std::size_t count, std::uint32_t seed) {
  SampleSettings settings;
  settings.count = count;
  settings.seed = seed;
  return settings;
}

void test_choose() {
  using vqvae::detail::choose;
  const double below = std::nextafter(1.0, 0.0);
  const auto chosen = [](const std::vector<float>& shares, double random, double temperature, unsigned top_k) {
    return choose(shares.data(), shares.size(), random, temperature, top_k);
  };
  check::that(chosen({0.25F, 0.25F, 0.5F}, 0, 1, 0) == 0, "random number 0 chooses the first");
  check::that(chosen({0.25F, 0.25F, 0.5F}, 0.25, 1, 0) == 1, "what a code ends with is the next one's");
  check::that(chosen({0.25F, 0.25F, 0.5F}, 0.5, 1, 0) == 2, "and so for the last");
  check::that(chosen({0, 0.25F, 0.75F}, 0, 1, 0) == 1, "what is impossible is not drawn first");
  check::that(chosen({0.5F, 0.5F, 0}, below, 1, 0) == 1, "nor last");
  check::that(chosen({0.25F, 0.25F, 0.5F}, below, 1, 2) == 2, "the likeliest two hold the likeliest");
  check::that(chosen({0.25F, 0.25F, 0.5F}, 0, 1, 2) == 0, "and the first of equals");
  check::that(chosen({0.25F, 0.5F, 0.25F}, below, 1, 2) == 1, "but not the second");
  check::that(chosen({0.5F, 0.25F, 0.25F}, 0.7, 1, 2) == 1, "their sum counts");
  check::that(chosen({0.25F, 0.25F, 0.5F}, 0, 1, 1) == 2, "the likeliest one is the likeliest");
  check::that(chosen({0.4F, 0.2F, 0.4F}, 0.9, 0, 0) == 0, "temperature 0 takes the first of the likeliest");
  check::that(chosen({0.2F, 0.4F, 0.4F}, 0, 0, 3) == 1, "also among some");
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    check::refuses<Error>([&] { chosen({0.5F, value}, 0, 1, 0); }, "are no numbers", "a share that is no number");
    check::refuses<Error>([&] { chosen({0.5F, value}, 0, 0, 0); }, "are no numbers", "at temperature 0 too");
  }
}

void test_random_numbers() {
  std::mt19937 generator(0);
  // numpy.random.RandomState(0).random_sample(2)
  check::that(vqvae::detail::uniform(generator) == 0.5488135039273248, "the first random number is NumPy's");
  check::that(vqvae::detail::uniform(generator) == 0.7151893663724195, "so is the second");
}

void test_names() {
  using vqvae::detail::unquote;
  check::that(unquote("a%2C%20b") == "a, b" && unquote("%C3%A9%25") == "\xc3\xa9%", "names are read");
  check::that(unquote("%") == "%" && unquote("%2") == "%2" && unquote("%zz%41") == "%zzA", "stray signs stay");
}

/// Return the codes that codes.txt should hold, sampled anew.
std::string draw_stored(Sampler& sampler) {
  SampleSettings any = settings_of(20, 3), one = settings_of(20, 4294967295U);
  one.label = "\xc3\xa9%";
  one.temperature = 0.5;
  one.top_k = 3;
  std::string text;
  for (const SampleSettings& settings : {any, one}) {
    for (const Codes& codes : sampler.sample(settings)) text += vqvae::format_codes(codes, 2);
  }
  return text;
}

void test_stored(Sampler& sampler) {
  const std::string expected = vqvae::read_file(std::filesystem::path(VQVAE_STORED) / "first_prior" / "codes.txt");
  check::that(sampler.classes() == std::vector<std::string>{"a, b", "\xc3\xa9%"}, "the classes are those of the prior");
  check::that(draw_stored(sampler) == expected, "the stored codes are drawn");
  check::that(draw_stored(sampler) == expected, "and once more");
}

void test_company(Sampler& sampler) {
  const std::vector<Codes> most = sampler.sample(settings_of(40, 5));
  for (const std::size_t count : {1U, 2U, 3U, 14U, 15U, 16U, 17U, 30U, 31U}) {
    const std::vector<Codes> some = sampler.sample(settings_of(count, 5));
    check::that(some.size() == count && std::equal(some.begin(), some.end(), most.begin()),
                std::to_string(count) + " images are the first of 40");
  }
  SampleSettings finishing = settings_of(40, 5);
  finishing.given = {most[7][0], most[7][1]};
  const std::vector<Codes> finished = sampler.sample(finishing);
  check::that(finished[7] == most[7], "given what it had drawn, it draws the same");
  check::that(std::all_of(finished.begin(), finished.end(),
                          [&](const Codes& codes) { return codes[0] == most[7][0] && codes[1] == most[7][1]; }),
              "all images keep what was given");
  check::that(sampler.generate(settings_of(2, 5))[1].bytes == sampler.codec().decode(most[1]).bytes,
              "images are those of the codes");
}

void test_refusals(Sampler& sampler) {
  const auto refuses = [&](const SampleSettings& settings, const std::string& words, const std::string& what) {
    check::refuses<Error>([&] { sampler.sample(settings); }, words, what);
  };
  refuses(settings_of(0, 0), "count was given as 0: it must be from 1 to 1000000", "no image");
  refuses(settings_of(1000001, 0), "count was given as 1000001", "too many images");
  SampleSettings settings;
  for (const double heat : {-1.0, 9e-4, 1001.0, std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::quiet_NaN(), -1e-300}) {
    settings.temperature = heat;
    refuses(settings, "it must be 0 (always the likeliest code) or from 0.001 to 1000", "a temperature");
  }
  settings = {};
  settings.top_k = 9;
  refuses(settings, "top-k was given as 9: it must be from 1 to 8, or 0 for all codes", "a top-k");
  settings = {};
  settings.label = "a";
  refuses(settings, "class a was given: the prior was trained on a, b, \xc3\xa9%", "an unknown class");
  settings = {};
  settings.given = {1, 2, 3};
  refuses(settings, "3 codes of the first rows were given: the model takes up to 2 rows of 2", "half a row");
  settings.given = Codes(6, 0);
  refuses(settings, "6 codes of the first rows were given", "too many rows");
  settings.given = {0, 8};
  refuses(settings, "code 8 was given: the model has 0 to 7", "a code that is none");
  settings.given = {-1, 0};
  refuses(settings, "code -1 was given", "a negative code");
  const std::string nowhere = "/no/such/folder/out";
  check::refuses<Error>([&] { vqvae::write_images(sampler, {}, nowhere + "/"); }, "cannot be written", "no folder");
  check::refuses<Error>([&] { vqvae::write_images(sampler, {}, nowhere + ".png"); }, "cannot be written", "no file");
  check::refuses<Error>([] { Sampler("/no/such/folder"); }, "holds no exported model", "a missing model");
  check::refuses<Error>([] { Sampler(std::filesystem::path(VQVAE_STORED) / "first_export"); }, "holds no prior",
                        "a model without a prior");
}

void test_moving(const std::filesystem::path& folder) {
  Sampler first(folder);
  const std::string expected = draw_stored(first);
  Sampler second = std::move(first);
  check::that(draw_stored(second) == expected, "a moved sampler goes on");
  const std::string words = "used after it was moved from";
  check::refuses<Error>([&] { first.sample({}); }, words, "drawing after a move");  // NOLINT(bugprone-use-after-move)
  check::refuses<Error>([&] { first.generate({}); }, words, "images after a move");
  check::refuses<Error>([&] { first.codec(); }, words, "the model after a move");
  check::refuses<Error>([&] { first.classes(); }, words, "the classes after a move");
  Sampler& itself = second;
  second = std::move(itself);
  check::that(draw_stored(second) == expected, "a sampler moved to itself goes on");
  first = std::move(second);
  check::that(draw_stored(first) == expected, "a sampler that was moved from can be assigned");
}

void test_threads(const std::filesystem::path& folder, const std::string& expected) {
  std::vector<std::string> drawn(2);
  std::vector<std::thread> threads;
  for (std::string& text : drawn) {
    threads.emplace_back([&folder, &text] {
      Sampler sampler(folder);
      for (int i = 0; i < 5; ++i) text += draw_stored(sampler);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::string all;
  for (int i = 0; i < 5; ++i) all += expected;
  check::that(drawn[0] == all && drawn[1] == all, "two threads, a sampler each, draw what one draws");
}

}  // namespace

int main() {
  const Model model;
  Sampler sampler(model.folder());
  test_choose();
  test_random_numbers();
  test_names();
  test_stored(sampler);
  test_company(sampler);
  test_refusals(sampler);
  test_moving(model.folder());
  test_threads(model.folder(), draw_stored(sampler));
  return check::failures;
}
