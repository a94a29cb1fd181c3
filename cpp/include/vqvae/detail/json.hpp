#pragma once

/// Parses the JSON of a model's files with nlohmann/json, as strictly as Python's json module and up to a limit of
/// nesting. This is the only header that includes nlohmann/json, which takes longest to compile: include it only where
/// JSON is parsed.

#include <cstddef>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace vqvae::detail {

using Json = nlohmann::json;

/// Parse a text that is one JSON value; return nothing if it is damaged or nested more than 500 deep.
inline std::optional<Json> parse_json(const std::string& text) {
  constexpr int deepest = 500;
  struct TooDeep {};
  if (text.rfind("\xef\xbb\xbf", 0) == 0) return std::nullopt;  // a byte order mark, which the library would skip
  try {
    const auto check_depth = [](int depth, Json::parse_event_t /*event*/, const Json& /*value*/) {
      if (depth > deepest) throw TooDeep{};
      return true;
    };
    Json value = Json::parse(text, check_depth, false);
    return value.is_discarded() ? std::nullopt : std::optional<Json>(std::move(value));
  } catch (const TooDeep&) {
    return std::nullopt;
  }
}

/// Return the value of a name in an object; null if the name is missing or `value` is not an object.
inline const Json* find(const Json* value, const char* name) {
  if (value == nullptr || !value->is_object()) return nullptr;
  const auto found = value->find(name);
  return found == value->end() ? nullptr : &*found;
}

/// Return the string of a name in an object; empty if there is none.
inline std::string text_of(const Json* value, const char* name) {
  const Json* const text = find(value, name);
  return text != nullptr && text->is_string() ? text->get<std::string>() : "";
}

/// Return the array of a name in an object; null if there is none.
inline const Json* array_of(const Json* value, const char* name) {
  const Json* const array = find(value, name);
  return array != nullptr && array->is_array() ? array : nullptr;
}

/// Return a JSON value that is an integer from 0 to 999,999,999, or nothing.
inline std::optional<std::size_t> whole_number(const Json& value) {
  constexpr std::size_t limit = 1'000'000'000;
  if (!value.is_number_unsigned() || value.get<std::size_t>() >= limit) return std::nullopt;
  return value.get<std::size_t>();
}

}  // namespace vqvae::detail
