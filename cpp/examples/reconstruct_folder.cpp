/// Reconstructs every image of a folder, with one thread per core.
///
/// Usage: reconstruct_folder MODEL FOLDER OUT: OUT gets a PNG file for each image of FOLDER.

#include <algorithm>
#include <exception>
#include <filesystem>
#include <iostream>
#include <vector>

#include <vqvae/batch_codec.hpp>

int main(int count, char** words) {
  if (count != 4) {
    std::cerr << "usage: reconstruct_folder MODEL FOLDER OUT\n";
    return 2;
  }
  try {
    const std::filesystem::path folder = words[2], output = words[3];
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());

    vqvae::BatchCodec codec(words[1]);
    std::vector<vqvae::Image> images;
    for (const auto& file : files) images.push_back(codec.read_image(file));
    images = codec.reconstruct(images);

    std::filesystem::create_directories(output);
    for (std::size_t i = 0; i < files.size(); ++i) {
      vqvae::write_png(output / files[i].filename().replace_extension(".png"), images[i]);
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "reconstruct_folder: error: " << error.what() << "\n";
    return 2;
  }
}
