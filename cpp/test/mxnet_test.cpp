/// The owners of MXNet's handles.

#include <filesystem>
#include <type_traits>
#include <utility>

#include "check.hpp"
#include "vqvae/detail/byte_array.hpp"
#include "vqvae/executor.hpp"
#include "vqvae/files.hpp"
#include "vqvae/parameters.hpp"
#include "vqvae/symbol.hpp"

namespace {

template <typename T>
constexpr bool move_only = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T> &&
                           !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;

const std::filesystem::path encoder = std::filesystem::path(VQVAE_PRETRAINED) / "model" / "vqvae.Encoder";

void test_symbol(const std::string& json) {
  const vqvae::Symbol symbol(json);
  check::that(symbol.arguments().front() == "data", "the first argument is data");
  check::that(symbol.auxiliary_states().empty(), "there are no auxiliary states");
  check::that(symbol.attribute("data", "__shape__") == "(0, 1, 28, 28)", "data tells its shape");
  check::that(symbol.attribute("data", "colour").empty(), "an unknown attribute is empty");
  check::refuses<vqvae::Error>([] { vqvae::Symbol("{"); }, "MXNet: ", "bad JSON");
  check::refuses<vqvae::Error>([] { vqvae::Symbol(""); }, "MXNet: ", "no JSON");
}

void test_arrays(const std::string& parameters) {
  const vqvae::ArrayList arrays(parameters);
  const std::string name = "arg:vectorquantize0_embeddings";
  check::that(arrays.contains(name) && arrays.at(name).shape == vqvae::Shape{64, 16}, "the codebook is 64 x 16");
  check::that(arrays.at(name).values.size() == 64 * 16, "and all there");
  check::that(!arrays.contains("vectorquantize0_embeddings"), "names keep their prefix");
  const std::string cut = parameters.substr(0, parameters.size() / 2);
  check::refuses<vqvae::Error>([&] { vqvae::ArrayList list(cut); }, "no whole .params file", "truncated parameters");
}

void test_executor(const std::string& json, const std::string& parameters) {
  vqvae::Executor executor(json, parameters, {3, 1, 28, 28}, "codes");
  check::that(executor.output_shape() == vqvae::Shape{3, 7, 7}, "the head asked for is the codes");
  check::refuses<vqvae::Error>([&] { executor.forward({1.0F}); }, "given 1 values: it takes 2352", "a short input");
  check::refuses<vqvae::Error>([&] { vqvae::Executor(json, parameters, {1, 1, 28, 28}, "nothing"); },
                               "MXNet: ", "a head that is not there");

  const std::vector<float> input(3 * 28 * 28, 0.5F);
  executor.forward(input);
  const std::vector<float> before = executor.output();
  vqvae::Executor moved = std::move(executor);
  moved.forward(input);
  check::that(moved.output() == before, "a moved executor goes on");
  vqvae::Executor other(json, parameters, {1, 1, 28, 28}, "encoding");
  check::that(other.output_shape() == vqvae::Shape{1, 16, 7, 7}, "another head is the encoding");
  other = std::move(moved);
  check::that(other.output_shape() == vqvae::Shape{3, 7, 7}, "and can be assigned");
}

void test_fusion(const std::string& json) {
  const vqvae::Symbol symbol(json);
  const std::string fused = vqvae::detail::fused(symbol);
  check::that(fused.find("\"_sg_mkldnn_conv\"") != std::string::npos, "convolutions and activations are fused");
  check::that(vqvae::Symbol(fused).arguments() == symbol.arguments(), "and take the same parameters");
  const std::string sum =
      R"json({"nodes": [{"op": "null", "name": "data", "inputs": []}, {"op": "null", "name": "weight", "inputs": []},
                    {"op": "Convolution", "name": "a", "attrs": {"kernel": "(1, 1)", "num_filter": "1", "no_bias": "True"},
                     "inputs": [[0, 0, 0], [1, 0, 0]]},
                    {"op": "elemwise_add", "name": "b", "inputs": [[2, 0, 0], [0, 0, 0]]}],
          "arg_nodes": [0, 1], "heads": [[3, 0, 0]]})json";
  check::that(vqvae::detail::fused(vqvae::Symbol(sum)).empty(), "but not a convolution and an addition");
}

}  // namespace

int main() {
  static_assert(move_only<vqvae::Symbol> && move_only<vqvae::Executor> && move_only<vqvae::detail::ByteArray>);
  check::that(vqvae::to_string({1, 28, 28}) == "(1, 28, 28)" && vqvae::to_string({5}) == "(5,)", "shapes print");
  const std::string json = vqvae::read_file(encoder / "model_0_newest-symbol.json");
  const std::string parameters = vqvae::read_file(encoder / "model_0_newest-0000.params");
  test_symbol(json);
  test_arrays(parameters);
  test_executor(json, parameters);
  test_fusion(json);
  return check::failures;
}
