#pragma once

/// As much JSON as the files of a model need: read whole and strictly, as Python's json module does.

#include <cctype>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vqvae::detail {

/// A JSON value. `text` is the content of a string, or the word of a number, true, false or null.
struct Json {
  enum class Kind { object, array, string, word } kind = Kind::word;
  std::string text;
  std::vector<Json> items;         // of an array, or the values of an object
  std::vector<std::string> names;  // of an object

  /// Return the value of a name, the last one if there are several, or null.
  const Json* find(const std::string& name) const {
    for (std::size_t i = names.size(); i > 0; --i) {
      if (names[i - 1] == name) return &items[i - 1];
    }
    return nullptr;
  }

  /// Return a whole number from 0 to 999,999,999, or nothing.
  std::optional<std::size_t> number() const {
    const bool digits = !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
    if (kind == Kind::array || kind == Kind::object || !digits) return std::nullopt;
    return std::stoul(text);
  }
};

/// Return whether bytes are UTF-8.
inline bool is_utf8(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t more = first < 0x80U ? 0 : first >= 0xF0U ? 3 : first >= 0xE0U ? 2 : 1;
    if (more > 0 && (first < 0xC2U || first > 0xF4U)) return false;
    if (more >= text.size() - i) return false;
    std::uint32_t point = more == 0 ? first : first & (0x3FU >> more);
    for (std::size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0U) != 0x80U) return false;
      point = point << 6 | (next & 0x3FU);
    }
    if ((more == 2 && point < 0x800U) || (more == 3 && (point < 0x10000U || point > 0x10FFFFU))) return false;
    if (point >= 0xD800U && point <= 0xDFFFU) return false;
    i += more + 1;
  }
  return true;
}

class JsonReader {
 public:
  explicit JsonReader(const std::string& text) : text_(text) {}

  /// Return the one value that the text is, or nothing.
  std::optional<Json> read() {
    Json result;
    if (!is_utf8(text_) || !value(result, 0)) return std::nullopt;
    skip_space();
    if (place_ != text_.size()) return std::nullopt;
    return result;
  }

 private:
  static constexpr int deepest_ = 500;

  bool value(Json& result, int depth) {
    if (depth > deepest_) return false;
    skip_space();
    if (place_ >= text_.size()) return false;
    switch (text_[place_]) {
      case '{': return container(result, depth, Json::Kind::object, '}');
      case '[': return container(result, depth, Json::Kind::array, ']');
      case '"': result.kind = Json::Kind::string; return string(result.text);
      default: return word(result.text);
    }
  }

  bool container(Json& result, int depth, Json::Kind kind, char end) {
    result.kind = kind;
    ++place_;
    skip_space();
    if (take(end)) return true;
    do {
      if (kind == Json::Kind::object && !name(result)) return false;
      result.items.emplace_back();
      if (!value(result.items.back(), depth + 1)) return false;
      skip_space();
    } while (take(','));
    return take(end);
  }

  bool name(Json& result) {
    skip_space();
    result.names.emplace_back();
    if (!string(result.names.back())) return false;
    skip_space();
    return take(':');
  }

  bool string(std::string& content) {
    if (!take('"')) return false;
    for (; place_ < text_.size() && text_[place_] != '"'; ++place_) {
      if (static_cast<unsigned char>(text_[place_]) < 0x20) return false;
      if (text_[place_] != '\\') {
        content += text_[place_];
      } else if (!escaped(content)) {
        return false;
      }
    }
    return take('"');
  }

  bool escaped(std::string& content) {
    const std::string names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    if (++place_ >= text_.size()) return false;
    const std::size_t known = names.find(text_[place_]);
    if (known != std::string::npos) {
      content += meanings[known];
      return true;
    }
    if (text_[place_] != 'u' || place_ + 4 >= text_.size()) return false;
    for (int i = 0; i < 4; ++i) {
      if (!std::isxdigit(static_cast<unsigned char>(text_[++place_]))) return false;
    }
    content += '?';  // nothing that is looked for has such a letter
    return true;
  }

  bool word(std::string& content) {
    const std::size_t start = place_;
    if (!known_word() && !number()) return false;
    content = text_.substr(start, place_ - start);
    return true;
  }

  bool known_word() {
    for (const char* const name : {"true", "false", "null", "NaN", "Infinity", "-Infinity"}) {
      const std::string known = name;
      if (text_.compare(place_, known.size(), known) == 0) {
        place_ += known.size();
        return true;
      }
    }
    return false;
  }

  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      return digits();
    }
    return true;
  }

  bool digits() {
    const std::size_t start = place_;
    while (place_ < text_.size() && text_[place_] >= '0' && text_[place_] <= '9') ++place_;
    return place_ > start;
  }

  bool take(char wanted) {
    if (place_ >= text_.size() || text_[place_] != wanted) return false;
    ++place_;
    return true;
  }

  void skip_space() {
    while (place_ < text_.size() && std::string(" \t\r\n").find(text_[place_]) != std::string::npos) ++place_;
  }

  const std::string& text_;
  std::size_t place_ = 0;
};

}  // namespace vqvae::detail
