#pragma once

#include <map>
#include <string>
#include <vector>

/// The contents of the program's command line.
struct Options {
  std::vector<std::string> words;
  std::map<std::string, std::string> values;  // of the given options that take a value
  bool strict = false, explain = false, codes = false, help = false, version = false;

  bool has(const std::string& name) const { return values.count(name) != 0; }
  std::string value(const std::string& name, const std::string& otherwise = "") const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : found->second;
  }
};

/// Parse the command line; throw vqvae::Error for an unknown option or a missing value.
Options parse(const std::vector<std::string>& arguments);
