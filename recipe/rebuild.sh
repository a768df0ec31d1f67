#!/bin/sh
# Rebuild the model that ships, from recorded notes, Debian packages, listed music, teachers' weights and the model before.
#
#   recipe/rebuild.sh DATA PEERS CLASSES CLONES BASE MATERIAL [small]
#
# DATA: a folder of training material with manifest.csv, music.csv, midi/, real/ and songs/. PEERS: the folders of the four
# teachers (recipe/teachers). CLASSES: AudioSet's class_labels_indices.csv. CLONES: bare clones of the repositories that
# music.csv and recipe/recordings.csv name, OWNER/NAME. BASE: the model folder to begin as, in floating point (recipe/float);
# default@3 made default@4, default@6 made default@7 to default@9. MATERIAL: a folder that grows to 16 GB (packages 6, clips 7,
# notes 1.3, all else 2).
# Every step skips what is there, so the script can be stopped and run again.
# Measured, on one core: 0.4 s to draw a scene, 75 minutes for 11,264, and less for 5,120 of soloists; 0.3 s to label a clip, 20
# minutes for 3,500, and 10 more for what is known; two cores: 0.75 s a step of training (0.5 with convolutions in bfloat16), 40 to
# 60 minutes. Memory: 1 GB to draw and to label, 4 GB to train, which holds all material. A GPU that TensorFlow sees is used.
# With `small` it goes through every step with as little as will do, to show that they fit together: a model that is of no use,
# in five minutes of processor time and 1.9 GB of memory (measured, killed while labelling and gone on with; notes packed and
# packages fetched before).
# Needs: pip install -e '.[train,render,distil]'; apt-get install fluidsynth.
set -eu
if [ $# -lt 6 ]; then
    sed -n 's/^#   //p' "$0" >&2
    exit 2
fi
for given in "$1" "$2" "$3" "$4" "$5"; do
    [ -e "$given" ] || { echo "$0: $given is missing" >&2; exit 1; }
done
data=$(realpath "$1") peers=$(realpath "$2") classes=$(realpath "$3") clones=$(realpath "$4") base=$(realpath "$5")
material=$(realpath -m "$6")
small=${7:-}
cd "$(dirname "$(dirname "$(realpath "$0")")")"
export OMP_NUM_THREADS=1

soundfonts="fluid-soundfont-gm musescore-general-soundfont csound-soundfont timgm6mb-soundfont"
guitars="fretsonfire-songs-muldjord fretsonfire-songs-sectoid"
games="0ad-data asc-music boswars-data colobot-common-sounds cube2-data drascula-music endless-sky-data extremetuxracer-data
  fillets-ng-data flare-game freedroidrpg-data freeorion-data frozen-bubble-data hedgewars-data hyperrogue-music
  lincity-ng-data lordsawar-data lugaru-data marsshooter-data megaglest-data naev-data pushover-data scorched3d-data
  singularity-music starfighter-data supertuxkart-data torus-trooper-data tuxmath-data unknown-horizons warzone2100-music
  wesnoth-1.16-music"
validation="--last 3" training="--last 41" solos="--last 20" music="" label="" steps="" embedding=""
if [ "$small" = small ]; then
    games="pushover-data" guitars="fretsonfire-songs-sectoid"
    validation="--last 1 --rows 16" training="--last 2 --rows 16" solos="--last 1 --rows 16"
    music="--at-most 3" label="--scenes 8 --recordings 20"
    steps="--epochs 2 --steps 4" embedding="--at-most 400 --epochs 1 --variants 0"
fi

[ -e "$material/notes/clips.json" ] || python -m recipe notes "$data" "$material"
fetch="" # shellcheck disable=SC2086 # one word for each option, here and below
for package in $soundfonts $guitars $games; do fetch="$fetch --game $package"; done
# shellcheck disable=SC2086
python -m recipe music "$data" "$material" --repositories "$clones" $fetch $music
packages=$material/packages
held_out="--font $packages/timgm6mb-soundfont/usr/share/sounds/sf2/TimGM6mb.sf2"
fonts="--font $packages/fluid-soundfont-gm/usr/share/sounds/sf2/FluidR3_GM.sf2
  --font $packages/musescore-general-soundfont/usr/share/sounds/sf3/MuseScore_General_Full.sf3
  --font $packages/csound-soundfont/usr/share/sounds/sf2/sf_GMbank.sf2"
# shellcheck disable=SC2086
python -m recipe scenes "$data" "$material" --held-out $validation $held_out
# shellcheck disable=SC2086
python -m recipe scenes "$data" "$material" $training $fonts
# shellcheck disable=SC2086
python -m recipe scenes "$data" "$material" --solos $solos $fonts
# shellcheck disable=SC2086
python -m recipe label "$data" "$material" "$peers" --classes "$classes" --model "$base" $held_out $label
unset OMP_NUM_THREADS
# shellcheck disable=SC2086
[ -e "$material/model/config.json" ] || python -m recipe train "$material" "$material/trained" --from "$base" $steps
[ -e "$material/model/config.json" ] || python -m recipe between "$base" "$material/trained" "$material/model"
# shellcheck disable=SC2086
[ -e "$material/small/config.json" ] || python -m recipe embedding "$material/model" "$material" "$peers" "$classes" $embedding
[ -e "$material/small/config.json" ] || python -m recipe integers "$material/model" "$material/small" "$material"
python -m recipe decide "$material/small" "$data" "$material" --keep --alike "$material/model"
python -m recipe background "$material/small" "$material"
[ "$small" = small ] || python -m bench recognition "$data" "$material/small"
echo "The model is in $material/small ($material/model in floating point); swap it in (the latter by python -m recipe half) when its table is better, with a card that lists $material/clips/credits.md."
