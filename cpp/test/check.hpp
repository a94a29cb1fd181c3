#pragma once

#include <exception>
#include <iostream>
#include <string>

/// A minimal test library: counts failures and prints them; a test exits with the count.
namespace check {

inline int failures = 0;

inline void that(bool holds, const std::string& what) {
  std::cout << (holds ? "ok      " : "FAILED  ") << what << "\n";
  if (!holds) ++failures;
}

/// Check that `call` throws an Error whose message is one line that contains `words`.
template <typename Error, typename Call>
void refuses(Call call, const std::string& words, const std::string& what) {
  try {
    call();
    that(false, what + ": nothing was thrown");
  } catch (const Error& error) {
    const std::string message = error.what();
    that(message.find(words) != std::string::npos && message.find('\n') == std::string::npos, what + ": " + message);
  }
}

}  // namespace check
