/// The codec on the pre-trained model.

#include <limits>
#include <utility>
#include <vector>

#include "check.hpp"
#include "noise.hpp"
#include "vqvae/codec.hpp"

namespace {

bool same(const std::vector<vqvae::Image>& first, const std::vector<vqvae::Image>& second) {
  if (first.size() != second.size()) return false;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (first[i].bytes != second[i].bytes) return false;
  }
  return true;
}

void test_shapes(const vqvae::Codec& codec) {
  check::that(codec.image_shape() == vqvae::Shape{1, 28, 28}, "images are 1 x 28 x 28");
  check::that(codec.codes_shape() == vqvae::Shape{7, 7}, "codes are 7 x 7");
  check::that(codec.num_embeddings() == 64, "there are 64 embeddings");
}

void test_batch_sizes(vqvae::Codec& one) {
  const std::vector<vqvae::Image> images = noise(10);
  const std::vector<vqvae::Codes> codes = one.encode(images);
  const std::vector<vqvae::Image> reconstructed = one.reconstruct(images);
  check::that(same(reconstructed, one.decode(codes)), "reconstruct is decode of encode");
  for (const unsigned batch_size : {2U, 3U, 10U, 64U}) {
    vqvae::Codec codec(VQVAE_PRETRAINED, batch_size);
    check::that(codec.encode(images) == codes && same(codec.decode(codes), reconstructed),
                "batch size " + std::to_string(batch_size) + " gives the same bits");
  }
}

void test_argmax() {
  const float nan = std::numeric_limits<float>::quiet_NaN(), low = -std::numeric_limits<float>::infinity();
  // Three rows of six places; the expected codes below are those of MXNet's argmax.
  const std::vector<float> scores = {1, 2, nan, 1,   low, 3,    //
                                     3, 2, 5,   nan, low, nan,  //
                                     2, 2, nan, nan, low, 4};
  check::that(vqvae::detail::argmax(scores.data(), 3, 6) == vqvae::Codes{1, 0, 0, 1, 0, 1},
              "the greatest, of equals the first");
}

void test_scores() {
  const std::string json = vqvae::read_file(VQVAE_PRETRAINED "/model/vqvae.Encoder/model_0_newest-symbol.json");
  const auto found = [&](const std::string& old, const std::string& text) {
    std::string changed = json;
    return vqvae::detail::find_scores(vqvae::Symbol(changed.replace(changed.find(old), old.size(), text)).json());
  };
  check::that(found("data", "data") == "vectorquantize0_likeness", "codes are chosen by the scores");
  check::that(found("\"argmax\"", "\"argmin\"") == "codes", "but not the least");
  check::that(found(R"("axis": "1")", R"("axis": "2")") == "codes", "nor of another axis");
  check::that(found(R"("axis": "1")", R"("axis": "1", "keepdims": "True")") == "codes", "nor in another shape");
  check::that(found("\"codes\"", "\"others\"") == "codes", "nor under another name");
  check::that(found("\"begin\": \"(None,)\"", "\"begin\": \"(1,)\"") == "codes", "nor of some images");
}

void test_refusals(vqvae::Codec& codec) {
  using vqvae::Error;
  check::refuses<Error>([] { vqvae::Codec("/no/such/folder"); }, "holds no exported model", "a missing model");
  check::refuses<Error>([] { vqvae::Codec(VQVAE_PRETRAINED, 0); }, "batch size was given as 0", "batch size 0");
  check::refuses<Error>([] { vqvae::Codec(VQVAE_PRETRAINED, 4000000000U); }, "given as 4000000000",
                        "a huge batch size");
  check::refuses<Error>([] { vqvae::compute_in_this_thread(); }, "call it first", "a late choice of the thread");
  check::refuses<Error>([&] { codec.encode(vqvae::Image{1, 2, 2, "abcd"}); }, "shape (1, 2, 2)", "a small image");
  check::refuses<Error>([&] { codec.encode(vqvae::Image{1, 28, 28, "abcd"}); }, "4 bytes", "an image cut short");
  check::refuses<Error>([&] { codec.decode(vqvae::Codes(48)); }, "48 codes were given", "48 codes");
  check::refuses<Error>([&] { codec.decode(vqvae::Codes(49, 64)); }, "code 64 was given", "code 64");
  check::refuses<Error>([&] { codec.decode(vqvae::Codes(49, -1)); }, "code -1 was given", "code -1");
}

void test_text(vqvae::Codec& codec) {
  const vqvae::Codes codes = codec.encode(noise(1).front());
  const std::string text = vqvae::format_codes(codes, 7);
  check::that(vqvae::parse_codes("text", text, codec) == codes, "codes survive being text");
  check::that(vqvae::format_codes({1, 2, 3, 4}, 2) == "1 2\n3 4\n", "codes are lines of integers");
}

void test_moving() {
  vqvae::Codec first(VQVAE_PRETRAINED);
  const vqvae::Image image = noise(1).front();
  const vqvae::Codes codes = first.encode(image);
  vqvae::Codec second = std::move(first);
  check::that(second.encode(image) == codes, "a moved codec goes on");
  using vqvae::Error;
  check::refuses<Error>([&] { first.encode(image); },  // NOLINT(bugprone-use-after-move)
                        "used after it was moved from", "encoding after a move");
  check::refuses<Error>([&] { first.decode(codes); }, "used after it was moved from", "decoding after a move");
  check::refuses<Error>([&] { first.image_shape(); }, "used after it was moved from", "a shape after a move");
  vqvae::Codec& itself = second;
  second = std::move(itself);
  check::that(second.encode(image) == codes, "a codec moved to itself goes on");
  first = std::move(second);
  check::that(first.encode(image) == codes, "a codec that was moved from can be assigned");
}

void test_manifest() {
  using vqvae::detail::parse_json;
  using vqvae::detail::sha256;
  // Examples of FIPS 180-4, and lengths around that of a block.
  check::that(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "SHA-256 of abc");
  check::that(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "SHA-256 of nothing");
  check::that(sha256(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
              "SHA-256 of a million a");
  check::that(sha256(std::string(55, 'a')) == "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318",
              "SHA-256 of 55 a");
  check::that(sha256(std::string(56, 'a')) == "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a",
              "SHA-256 of 56 a");
  check::that(parse_json(std::string(501, '[') + std::string(501, ']')).has_value(), "JSON may be nested 500 deep");
  const auto twice = parse_json(R"({"a": 1, "a": 2})");
  check::that(twice && twice->at("a") == 2, "of equal names the last counts");
  const std::string whole =
      R"({"a": [1, -2.5e3, null, true, {"files": 0}], "files": {"x/y": "12", "\u00e9": 3}, "z": {}})";
  const auto read = parse_json(whole);
  check::that(read && read->at("files").at("x/y") == "12", "JSON is read");
  for (std::size_t end = 0; end < whole.size(); ++end) {
    if (parse_json(whole.substr(0, end))) check::that(false, "JSON cut short is refused");
  }
  for (const std::string& damaged :
       {whole + "}", std::string(R"({"files": {}, })"), std::string("[01]"), std::string("\"\x80\""),
        std::string(R"({"a" "b"})"), std::string(100000, '['), std::string(502, '[') + std::string(502, ']'),
        std::string("\xef\xbb\xbf{}"), std::string("[1,]"), std::string("\"\xed\xa0\x80\"")}) {
    check::that(!parse_json(damaged), "refused: " + vqvae::detail::printable(damaged.substr(0, 40)));
  }
}

void test_graphs() {
  using vqvae::detail::is_graph;
  const std::string data = R"({"op": "null", "name": "data", "inputs": []})";
  const auto graph = [&](const std::string& inputs, const std::string& heads, const std::string& attributes = "{}") {
    return R"({"nodes": [)" + data + R"(, {"op": "relu", "name": "a", "attrs": )" + attributes + R"(, "inputs": )" +
           inputs + R"(}], "heads": )" + heads + "}";
  };
  check::that(is_graph(graph("[[0, 0, 0]]", "[[1, 0, 0]]")), "a graph is a graph");
  check::that(is_graph(graph("[[0, 0, 0]]", "[[1, 2, 0]]", R"({"num_outputs": "3"})")), "so is one with three outputs");
  for (const std::string inputs :
       {"[[1, 0, 0]]", "[[0, -1, 0]]", "[[0, 1, 0]]", "[[0]]", "[0]", "3", "[[0, 0.0, 0]]"}) {
    check::that(!is_graph(graph(inputs, "[[1, 0, 0]]")), "refused as an input: " + inputs);
  }
  for (const std::string heads : {"[[2, 0, 0]]", "[[1, 1, 0]]", "{}", R"([["1", 0, 0]])"}) {
    check::that(!is_graph(graph("[[0, 0, 0]]", heads)), "refused as a head: " + heads);
  }
}

}  // namespace

int main() {
  vqvae::Codec codec(VQVAE_PRETRAINED);
  test_shapes(codec);
  test_batch_sizes(codec);
  test_argmax();
  test_scores();
  test_refusals(codec);
  test_text(codec);
  test_moving();
  test_manifest();
  test_graphs();
  return check::failures;
}
