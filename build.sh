#!/usr/bin/env bash
# Sets everything up, trains a VQ-VAE on MNIST, exports it, builds the C++ program, and reconstructs and generates
# ten digits in Python and in C++. Steps that are already done are skipped.
#
#   bash build.sh          a few epochs, about five minutes on two cores; the pre-trained prior generates the digits
#   bash build.sh --full   the complete training of 100 epochs, and a prior of its own
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. tools/setup.sh

case "${1-}" in
  "") recipe=quick ;;
  --full) recipe=ema ;;
  *) fail "unknown option $1; give --full or nothing" ;;
esac
run=runs/$recipe

set_up

# A run with other settings, left by an older version, is kept beside the new one.
if [ -f "$run/recipe.json" ] && ! .venv/bin/vqvae train --recipe "$recipe" --print-recipe | cmp -s - "$run/recipe.json"; then
  say "training: the recipe has changed; the old run moves to $run.old"
  rm -rf "$run.old"
  mv "$run" "$run.old"
fi
say "training: recipe $recipe into $run"
.venv/bin/vqvae train --recipe "$recipe" --output "$run" --resume

picture=$run/reconstructions.png
if [ "$picture" -nt "$run/manifest.json" ] && [ "$picture" -nt cpp/build/vqvae ]; then
  say "reconstructions: already drawn in $picture"
else
  say "reconstructions: ten test digits by Python and by C++"
  .venv/bin/python tools/reconstruct_digits.py "$run" "$picture"
fi

generator=pre-trained
if [ "$recipe" = ema ]; then
  say "training a prior: recipe prior into $run/prior"
  .venv/bin/vqvae prior "$run" --resume
  generator=$run
fi
generated=$run/generated.png
if [ "$generated" -nt "$generator/manifest.json" ] && [ "$generated" -nt cpp/build/vqvae ]; then
  say "new digits: already drawn in $generated"
else
  say "new digits: one of each class by Python and by C++, from the prior in $generator"
  .venv/bin/python tools/generate_digits.py "$generator" "$generated"
fi
say "done; look at $picture and $generated, or try: .venv/bin/vqvae reconstruct IMAGE OUT.png --model $run"
