#pragma once

/// @file
/// Whole files: reading is limited for pipes and devices, which may have no end; writing is all or nothing.
///
///     vqvae::write_file("codes.txt", vqvae::read_file("/dev/stdin"));
///
/// Threads: any thread may call these functions at any time, but write_file briefly changes the process's umask in
/// order to read it.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "vqvae/error.hpp"

namespace vqvae {

namespace detail {

/// Return what an error number means. EBADF is reported as closed: only a standard stream's descriptor can be invalid.
inline std::string reason(int error) { return error == EBADF ? "it is closed" : std::strerror(error); }

/// Read a descriptor to its end; return what went wrong, or an empty text. Limited for pipes and devices, which may
/// have no end.
inline std::string read_all(int descriptor, std::string& content) {
  constexpr std::size_t longest = std::size_t{1} << 28U;
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) return "cannot be read (" + reason(errno) + ")";
  std::string part(1 << 16, '\0');
  while (true) {
    const ssize_t count = ::read(descriptor, part.data(), part.size());
    if (count < 0) return "cannot be read (" + reason(errno) + ")";
    if (count == 0) return "";
    content.append(part, 0, static_cast<std::size_t>(count));
    if (!S_ISREG(status.st_mode) && content.size() > longest) {
      return "gives more than " + std::to_string(longest) + " bytes; give a file or a pipe that ends";
    }
  }
}

}  // namespace detail

/// Return the content of a file; throw Error if it cannot be read.
inline std::string read_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) throw Error(path.string() + ": no such file");
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw Error(path.string() + ": cannot be read (" + detail::reason(errno) + ")");
  std::string content, fault;
  try {
    fault = detail::read_all(descriptor, content);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  ::close(descriptor);
  if (!fault.empty()) throw Error(path.string() + ": " + fault);
  return content;
}

namespace detail {

inline bool write_all(int descriptor, const std::string& content) {
  for (std::size_t done = 0; done < content.size();) {
    const ssize_t count = ::write(descriptor, content.data() + done, content.size() - done);
    if (count < 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

[[noreturn]] inline void throw_unwritable(const std::filesystem::path& path, int error) {
  throw Error(path.string() + ": cannot be written (" + reason(error) + ")");
}

}  // namespace detail

/// Write a whole file; throw Error if it cannot be written. On failure, the previous file is left in place.
inline void write_file(const std::filesystem::path& path, const std::string& content) {
  if (path.empty()) detail::throw_unwritable(path, EISDIR);  // as in Python, where it means the current folder
  std::error_code ignored;
  const std::filesystem::path real = std::filesystem::weakly_canonical(path, ignored);
  const std::filesystem::path target = real.empty() ? path : real;
  const auto kind = std::filesystem::status(target, ignored).type();
  if (kind == std::filesystem::file_type::directory) detail::throw_unwritable(path, EISDIR);
  if (kind != std::filesystem::file_type::regular && kind != std::filesystem::file_type::not_found) {
    // A device or a pipe must not be replaced by a file.
    const int descriptor = ::open(target.c_str(), O_WRONLY);
    if (descriptor < 0) detail::throw_unwritable(path, errno);
    const bool written = detail::write_all(descriptor, content);
    const int error = errno;
    ::close(descriptor);
    if (!written) detail::throw_unwritable(path, error);
    return;
  }
  std::string temporary = (target.parent_path() / ("." + target.filename().string() + ".XXXXXX")).string();
  const int descriptor = ::mkstemp(temporary.data());
  if (descriptor < 0) detail::throw_unwritable(path, errno);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  // mkstemp creates files that only their owner may read.
  bool written =
      detail::write_all(descriptor, content) && ::fchmod(descriptor, 0666 & ~mask) == 0 && ::fsync(descriptor) == 0;
  int error = errno;
  ::close(descriptor);
  if (written && std::rename(temporary.c_str(), target.c_str()) != 0) {
    written = false;
    error = errno;
  }
  if (!written) {
    ::unlink(temporary.c_str());
    detail::throw_unwritable(path, error);
  }
}

}  // namespace vqvae
