/// Parses the command line with CLI11. Only this file includes CLI11, which takes long to compile.

#include "command_line.hpp"

#include <algorithm>
#include <set>

#include <CLI/CLI.hpp>

#include "vqvae/error.hpp"

namespace {

/// What the value of each option is called in error messages.
const std::map<std::string, std::string> kinds{
    {"--model", "a path"},   {"--dump-input", "a path"},    {"--complete", "a path"}, {"--class", "a name"},
    {"--count", "a number"}, {"--temperature", "a number"}, {"--seed", "a number"},   {"--top-k", "a number"},
    {"--rows", "a number"},  {"--background", "a colour"}};

/// The options that each command takes besides --model, as in Python.
const std::map<std::string, std::set<std::string>> taken{
    {"encode", {"--strict", "--background", "--explain", "--dump-input"}},
    {"decode", {}},
    {"reconstruct", {"--strict", "--background", "--explain", "--dump-input"}},
    {"generate",
     {"--class", "--count", "--seed", "--temperature", "--top-k", "--complete", "--rows", "--background", "--codes"}}};

/// Split each "--name=", which has an empty value, into two words: CLI11 would take the next word as the value.
std::vector<std::string> split_empty_values(const std::vector<std::string>& words) {
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

/// Return CLI11's error for a missing value, or for a value given to a flag, in the words of the other errors.
vqvae::Error mismatch(const CLI::ArgumentMismatch& error, const std::vector<std::string>& words) {
  const std::string message = error.what(), option = message.substr(0, message.find_first_of(": "));
  const auto kind = kinds.find(option);
  if (kind != kinds.end()) return vqvae::Error(option + " needs " + kind->second + "; see vqvae --help");
  const std::string start = "--" + option + "=";
  const auto given =
      std::find_if(words.begin(), words.end(), [&](const auto& word) { return word.rfind(start, 0) == 0; });
  return vqvae::Error("unknown option " + (given == words.end() ? option : *given) + "; see vqvae --help");
}

/// Throw vqvae::Error for an option that a command does not take; an unknown command is not looked at.
void check_command(const CLI::App& app, const std::string& command) {
  const auto found = taken.find(command);
  if (found == taken.end()) return;
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();
    const bool fits = name == "--model" || name == "--help" || name == "--version" || found->second.count(name) != 0;
    if (!fits && option->count() != 0) {
      throw vqvae::Error("unknown option " + name + " for " + command + "; see vqvae --help");
    }
  }
}

}  // namespace

/// Unknown options are refused; other words that CLI11 does not know are returned.
Options parse(const std::vector<std::string>& arguments) {
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
    if (is_option && word == "--") {  // no options follow
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
  check_command(app, options.words.empty() ? "" : options.words[0]);
  return options;
}
