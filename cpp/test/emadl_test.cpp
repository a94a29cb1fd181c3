/// A program as EMADL's generator writes them loads the pre-trained files: the C predict API and nothing else, one
/// predictor class a component, file names built into it, one input `data`, the first head only, one image a time.
/// It reads the pixels of the ten test digits properly, and gives the codec's bytes.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <mxnet/c_predict_api.h>

#include "check.hpp"
#include "vqvae/codec.hpp"

namespace {

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class ComponentPredictor {
 public:
  ComponentPredictor(const std::string& component, const std::vector<unsigned>& input_shape) {
    const std::string prefix = std::string(VQVAE_PRETRAINED) + "/model/" + component + "/model_0_newest";
    const std::string json = slurp(prefix + "-symbol.json"), parameters = slurp(prefix + "-0000.params");
    const char* keys[] = {"data"};
    const unsigned ends[] = {0, static_cast<unsigned>(input_shape.size())};
    check::that(MXPredCreate(json.c_str(), parameters.data(), static_cast<int>(parameters.size()), 1, 0, 1, keys, ends,
                             input_shape.data(), &handle_) == 0,
                component + " is loaded");
  }
  ~ComponentPredictor() { MXPredFree(handle_); }
  ComponentPredictor(const ComponentPredictor&) = delete;
  ComponentPredictor& operator=(const ComponentPredictor&) = delete;

  void predict(const std::vector<float>& data, std::vector<float>& head) {
    unsigned *shape = nullptr, axes = 0;
    int failed = MXPredSetInput(handle_, "data", data.data(), static_cast<unsigned>(data.size()));
    failed |= MXPredForward(handle_);
    failed |= MXPredGetOutputShape(handle_, 0, &shape, &axes);
    std::size_t size = 1;
    for (unsigned i = 0; i < axes; ++i) size *= shape[i];
    head.resize(size);
    failed |= MXPredGetOutput(handle_, 0, head.data(), static_cast<unsigned>(size));
    if (failed != 0) check::that(false, MXGetLastError());
  }

 private:
  PredictorHandle handle_ = nullptr;
};

}  // namespace

int main() {
  ComponentPredictor encoder("vqvae.Encoder", {1, 1, 28, 28}), decoder("vqvae.Decoder", {1, 16, 7, 7});
  vqvae::Codec codec(VQVAE_PRETRAINED);
  for (int digit = 0; digit < 10; ++digit) {
    const std::string name = std::to_string(digit) + ".png";
    const vqvae::Image image = codec.read_image(std::string(VQVAE_DIGITS) + "/" + name);
    std::vector<float> data, encoding, reconstruction;
    for (const char byte : image.bytes) data.push_back(static_cast<float>(static_cast<std::uint8_t>(byte)) / 255.0F);
    encoder.predict(data, encoding);
    check::that(encoding.size() == 16 * 7 * 7, name + ": the first head is the encoding");
    decoder.predict(encoding, reconstruction);
    std::string bytes;
    for (const float value : reconstruction) bytes += static_cast<char>(std::lrint(255.0F * value));
    check::that(bytes == codec.reconstruct({image}).front().bytes, name + ": the codec's bytes");
  }
  return check::failures;
}
