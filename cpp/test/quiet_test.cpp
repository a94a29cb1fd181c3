/// Nothing is printed but the program's own output: MXNet writes to std::cerr, which is redirected to a buffer here.

#include <iostream>
#include <sstream>
#include <string>
#include <thread>

#include "check.hpp"
#include "noise.hpp"
#include "vqvae/codec.hpp"
#include "vqvae/sampler.hpp"
#include "vqvae/threads.hpp"

namespace {

void test_quiet_thread(const std::ostringstream& printed) {
  std::cerr << "before ";
  {
    const vqvae::detail::QuietThread quiet;
    std::cerr << "unheard " << 1 << 'x' << '\n' << std::flush;
    std::thread([] { std::cerr << "another" << '\'' << "s " << 2 << " " << std::flush; }).join();
  }
  std::cerr << "after";
  check::that(printed.str() == "before another's 2 after", "only the one thread is quiet: " + printed.str());
  std::cerr.setstate(std::ios_base::failbit);
  {
    const vqvae::detail::QuietThread quiet;
  }
  check::that(std::cerr.fail(), "and the stream is left as it was");
  std::cerr.clear();
}

}  // namespace

int main() {
  std::ostringstream printed;
  std::streambuf* const screen = std::cerr.rdbuf(printed.rdbuf());
  test_quiet_thread(printed);
  printed.str("");
  vqvae::compute_in_this_thread();
  vqvae::Codec codec(VQVAE_PRETRAINED, 2);
  codec.reconstruct(noise(3));
  codec.read_image(VQVAE_DIGITS "/3.png");
  vqvae::Sampler(VQVAE_PRETRAINED).sample({});
  check::that(printed.str().empty(), "nothing is printed: " + printed.str());
  std::cerr.rdbuf(screen);
  return check::failures;
}
