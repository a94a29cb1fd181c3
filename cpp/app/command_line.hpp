#pragma once

/// The options and words of the program's command line, read by CLI11.

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>

#include "vqvae/error.hpp"

/// Return the pre-trained model: beside an installed program, under share; else in the checkout that it was built in.
inline std::string pretrained() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path installed = program.parent_path().parent_path() / "share/vqvae/pre-trained";
  return std::filesystem::is_directory(installed, error) ? installed.string() : VQVAE_PRETRAINED;
}

struct Options {
  std::vector<std::string> words;
  std::map<std::string, std::string> values;  // of the options that take one and are given
  bool strict = false, explain = false, codes = false, help = false, version = false;

  bool has(const std::string& name) const { return values.count(name) != 0; }
  std::string model() const { return has("--model") ? value("--model") : pretrained(); }
  std::string value(const std::string& name, const std::string& otherwise = "") const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : found->second;
  }
};

/// What the values of options are, in a message.
inline const std::map<std::string, std::string> kinds{
    {"--model", "a path"},   {"--dump-input", "a path"},    {"--complete", "a path"}, {"--class", "a name"},
    {"--count", "a number"}, {"--temperature", "a number"}, {"--seed", "a number"},   {"--top-k", "a number"},
    {"--rows", "a number"},  {"--background", "a colour"}};

/// Return words with "--name=", an empty value, as two: CLI11 would take the next word for the value.
inline std::vector<std::string> split_empty_values(const std::vector<std::string>& words) {
  std::vector<std::string> result;
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.size() - 1);
    if (word.size() > 1 && word.back() == '=' && kinds.count(name) != 0) {
      result.insert(result.end(), {name, ""});
    } else {
      result.push_back(word);
    }
  }
  return result;
}

/// Return what CLI11 says of a missing value, or of a value that nothing asks for, in the words of the other errors.
inline vqvae::Error mismatch(const CLI::ArgumentMismatch& error, const std::vector<std::string>& words) {
  const std::string message = error.what(), option = message.substr(0, message.find_first_of(": "));
  const auto kind = kinds.find(option);
  if (kind != kinds.end()) return vqvae::Error(option + " needs " + kind->second + "; see vqvae --help");
  const std::string start = "--" + option + "=";
  const auto given = std::find_if(words.begin(), words.end(), [&](const auto& word) { return word.rfind(start, 0) == 0; });
  return vqvae::Error("unknown option " + (given == words.end() ? option : *given) + "; see vqvae --help");
}

/// Read the command line. Of what CLI11 does not know, options are refused, and words returned.
inline Options parse(const std::vector<std::string>& arguments) {
  Options options;
  CLI::App app;
  app.set_help_flag();  // an error elsewhere comes first
  app.allow_extras();
  std::map<std::string, std::string> values;
  for (const auto& [name, kind] : kinds) {
    app.add_option(name, values[name])->type_name(kind)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  for (const auto& [name, flag] : std::map<std::string, bool*>{{"--strict", &options.strict},
                                                               {"--explain", &options.explain},
                                                               {"--codes", &options.codes},
                                                               {"--version", &options.version},
                                                               {"-h,--help", &options.help}}) {
    app.add_flag(name, *flag)->disable_flag_override()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  const std::vector<std::string> words = split_empty_values(arguments);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ArgumentMismatch& error) {
    throw mismatch(error, words);
  }
  bool is_option = true;
  for (const std::string& word : app.remaining()) {
    if (is_option && word == "--") {  // what follows is no option
      is_option = false;
    } else if (is_option && word.size() > 1 && word[0] == '-') {
      throw vqvae::Error("unknown option " + word + "; see vqvae --help");
    } else {
      options.words.push_back(word);
    }
  }
  for (const auto& [name, value] : values) {
    if (app.count(name) != 0) options.values[name] = value;
  }
  return options;
}
