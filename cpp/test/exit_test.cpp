/// A program may end while MXNet's threads still work for a predictor that is gone.

#include "vqvae/codec.hpp"

int main() {
  const std::filesystem::path part = VQVAE_PRETRAINED "/model/vqvae.Encoder";
  const std::string json = vqvae::read_file(part / "model_0_newest-symbol.json");
  const std::string parameters = vqvae::read_file(part / "model_0_newest-0000.params");
  const std::vector<float> image(28 * 28);
  vqvae::Executor executor(json, parameters, {1, 1, 28, 28}, "vectorquantize0_likeness");
  executor.forward(image);
  executor.output();

  // A codec's predictors are as good as idle when they go; one that is hard at work shows each time what may happen then.
  constexpr unsigned count = 500;
  const std::vector<float> images(count * image.size());
  const std::string fused = vqvae::Symbol(json).fused();
  const char *key = "data", *head = "vectorquantize0_likeness";
  const mx_uint offsets[] = {0, 4}, shape[] = {count, 1, 28, 28};
  PredictorHandle predictor = nullptr;
  vqvae::detail::check(MXPredCreatePartialOut(fused.c_str(), parameters.data(), static_cast<int>(parameters.size()), 1, 0,
                                              1, &key, offsets, shape, 1, &head, &predictor));
  vqvae::detail::check(MXPredSetInput(predictor, key, images.data(), static_cast<mx_uint>(images.size())));
  vqvae::detail::check(MXPredForward(predictor));
  vqvae::detail::check(MXPredFree(predictor));
}
