/// Loads a model's files as a program written by EMADL's generator does. Such a program uses mxnet-cpp, whose headers
/// the wheel lacks, so this one calls MXNet's C API as mxnet-cpp does. For each component, a class with built-in file
/// names loads graph, parameters and loss, binds an executor for one image as for training, and returns the first head.
/// The test passes the ten test digits through it, expects the bytes that the codec gives, and expects the LeNet to
/// recognise the digits.
///
/// Usage: emadl_test [MODEL PACKAGE], a model folder (default: the pre-trained model's) and the package of its
/// components. For another model, the LeNet is tested only if it is present.

#include <mxnet/c_api.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "vqvae/codec.hpp"

namespace {

using vqvae::Shape;
using vqvae::detail::Owner;

using Array = Owner<MXNDArrayFree>;
using Arrays = std::map<std::string, Array>;
using Graph = Owner<MXSymbolFree>;

void require(int status, const std::string& what) {
  if (status != 0) throw vqvae::Error(what + ": " + vqvae::detail::last_message());
}

/// Symbol::Load
Graph load_graph(const std::string& path) {
  vqvae::detail::register_operators();  // as mxnet-cpp does by listing all operators
  SymbolHandle handle = nullptr;
  require(MXSymbolCreateFromFile(path.c_str(), &handle), path);
  return Graph(handle);
}

/// NDArray::LoadToMap; the first four letters of each name, "arg:" or "aux:", are cut off.
Arrays load_arrays(const std::string& path) {
  mx_uint count = 0, name_count = 0;
  NDArrayHandle* handles = nullptr;
  const char** names = nullptr;
  require(MXNDArrayLoad(path.c_str(), &count, &handles, &name_count, &names), path);
  Arrays arrays;
  for (mx_uint i = 0; i < count; ++i) {
    Array array(handles[i]);
    arrays[i < name_count ? std::string(names[i]).substr(4) : ""] = std::move(array);
  }
  return arrays;
}

Array make_array(const Shape& shape) {
  NDArrayHandle handle = nullptr;
  constexpr int cpu = 1, float32 = 0;
  require(MXNDArrayCreateEx(shape.data(), static_cast<mx_uint>(shape.size()), cpu, 0, 0, float32, &handle), "an array");
  return Array(handle);
}

Shape shape_of(NDArrayHandle array) {
  int axes = 0;
  const int* sides = nullptr;
  require(MXNDArrayGetShapeEx(array, &axes, &sides), "a shape");
  return Shape(sides, sides + axes);
}

template <typename List>
std::vector<std::string> names_of(List list, const Graph& graph) {
  mx_uint count = 0;
  const char** names = nullptr;
  require(list(graph.get(), &count, &names), "names");
  return {names, names + count};
}

class ComponentPredictor {
 public:
  ComponentPredictor(const std::string& folder, const Shape& input_shape, std::size_t loss_inputs) {
    const std::string prefix = folder + "/model_0_newest";
    graph_ = load_graph(prefix + "-symbol.json");
    arrays_ = load_arrays(prefix + "-0000.params");
    const Graph loss = load_graph(prefix + "_loss-symbol.json");
    check::that(names_of(MXSymbolListArguments, loss).size() == loss_inputs, folder + ": the loss has its inputs");
    check::that(load_arrays(prefix + "_loss-0000.params").empty(), folder + ": and no parameters");
    arrays_["data"] = make_array(input_shape);
    bind();
  }

  Shape head_shape() const { return shape_of(outputs_.front().get()); }

  std::vector<float> predict(const std::vector<float>& data) {
    require(MXNDArraySyncCopyFromCPU(arrays_.at("data").get(), data.data(), data.size()), "the input");
    require(MXExecutorForward(executor_.get(), 0), "the forward pass");
    std::vector<float> head(vqvae::volume(head_shape()));
    require(MXNDArraySyncCopyToCPU(outputs_.front().get(), head.data(), head.size()), "the first head");
    return head;
  }

 private:
  void bind() {
    std::vector<NDArrayHandle> arguments = take(MXSymbolListArguments), states = take(MXSymbolListAuxiliaryStates);
    std::vector<NDArrayHandle> gradients;
    for (const NDArrayHandle argument : arguments) {
      gradients_.push_back(make_array(shape_of(argument)));
      gradients.push_back(gradients_.back().get());
    }
    constexpr std::uint32_t write = 1;
    std::vector<std::uint32_t> requests(arguments.size(), write);
    ExecutorHandle handle = nullptr;
    constexpr int cpu = 1;
    require(MXExecutorBindEX(graph_.get(), cpu, 0, 0, nullptr, nullptr, nullptr, static_cast<mx_uint>(arguments.size()),
                             arguments.data(), gradients.data(), requests.data(), static_cast<mx_uint>(states.size()),
                             states.data(), nullptr, &handle),
            "the executor");
    executor_.reset(handle);
    mx_uint count = 0;
    NDArrayHandle* outputs = nullptr;
    require(MXExecutorOutputs(handle, &count, &outputs), "the heads");
    for (mx_uint i = 0; i < count; ++i) outputs_.emplace_back(outputs[i]);
  }

  template <typename List>
  std::vector<NDArrayHandle> take(List list) const {
    std::vector<NDArrayHandle> handles;
    for (const std::string& name : names_of(list, graph_)) {
      if (arrays_.count(name) == 0) throw vqvae::Error("the parameters lack " + name);
      handles.push_back(arrays_.at(name).get());
    }
    return handles;
  }

  Graph graph_;
  Arrays arrays_;
  std::vector<Array> gradients_, outputs_;
  Owner<MXExecutorFree> executor_;
};

void test_digits(const std::string& model, const std::string& package, bool is_judged) {
  const std::string start = model + "/" + package + ".";
  vqvae::Codec codec(model);
  ComponentPredictor encoder(start + "Encoder", vqvae::batched(1, codec.image_shape()), 4);
  ComponentPredictor decoder(start + "Decoder", encoder.head_shape(), 4);
  std::vector<ComponentPredictor> judge;
  if (is_judged) judge.emplace_back(start + "LeNetNetwork", decoder.head_shape(), 2);
  for (int digit = 0; digit < 10; ++digit) {
    const std::string name = std::to_string(digit) + ".png";
    const vqvae::Image image = codec.read_image(std::string(VQVAE_DIGITS) + "/" + name);
    std::vector<float> data;
    for (const char byte : image.bytes) data.push_back(static_cast<float>(static_cast<std::uint8_t>(byte)) / 255.0F);
    const std::vector<float> reconstruction = decoder.predict(encoder.predict(data));
    std::string bytes;
    for (const float value : reconstruction) bytes += static_cast<char>(std::lrint(255.0F * value));
    check::that(bytes == codec.reconstruct({image}).front().bytes, name + ": the codec's bytes");
    for (ComponentPredictor& lenet : judge) {
      const std::vector<float> probabilities = lenet.predict(reconstruction);
      const auto most = std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin();
      check::that(most == digit, name + ": the LeNet reads the digit");
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  const bool is_ours = count < 3;
  const std::string model = is_ours ? VQVAE_PRETRAINED "/model" : arguments[1];
  const std::string package = is_ours ? "vqvae" : arguments[2];
  try {
    test_digits(model, package, is_ours || std::filesystem::is_directory(model + "/" + package + ".LeNetNetwork"));
  } catch (const std::exception& error) {
    check::that(false, error.what());
  }
  return check::failures;
}
