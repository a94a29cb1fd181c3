/// A program may end while MXNet's threads still work for an executor that was destroyed.

#include "vqvae/codec.hpp"

int main() {
  const std::filesystem::path part = VQVAE_PRETRAINED "/model/vqvae.Encoder";
  const std::string json = vqvae::read_file(part / "model_0_newest-symbol.json");
  const std::string parameters = vqvae::read_file(part / "model_0_newest-0000.params");
  const auto make = [&](unsigned images) {
    return vqvae::Executor(json, parameters, {images, 1, 28, 28}, "vectorquantize0_likeness");
  };
  vqvae::Executor idle = make(1);
  idle.forward(std::vector<float>(28 * 28));
  idle.output();

  // A codec's executors are almost idle when they are destroyed. A busy one reproduces every time what may happen then.
  vqvae::Executor busy = make(500);
  busy.forward(std::vector<float>(500 * 28 * 28));
}
