#!/bin/sh
# Rebuild the model that ships, from recorded notes, Debian packages and a teacher's weights.
#
#   recipe/rebuild.sh DATA TEACHER MATERIAL [small]
#
# DATA: a folder of training material with manifest.csv. TEACHER: the folder of mn04's weights. MATERIAL: a folder that
# may grow to 6 GB. Every step skips what is there, so the script can be stopped and run again. On two cores: rendering
# takes about an hour and a half, cutting the music 10 minutes, training two hours; 6 GB of memory.
# With `small` it goes through every step with as little as will do, to show that they fit together: 1 GB, a model that hears
# next to nothing.
# Needs: pip install -e '.[train]' mido pyfluidsynth scipy torch safetensors; apt-get install fluidsynth unzip.
set -eu
data=$(realpath "$1") teacher=$(realpath "$2") material=$(realpath -m "$3")
validation=3 half=45 scenes=90 epochs=121 restart=61 steps=150
[ "${4:-}" = small ] && validation=1 half=1 scenes=2 epochs=4 restart=3 steps=10
here=$(dirname "$(dirname "$(realpath "$0")")")
fonts=$material/packages/usr/share/sounds
game_music="0ad-data asc-music boswars-data colobot-common-sounds cube2-data drascula-music endless-sky-data extremetuxracer-data
  fillets-ng-data flare-game freedroidrpg-data freeorion-data fretsonfire-songs-muldjord fretsonfire-songs-sectoid
  frozen-bubble-data hedgewars-data hyperrogue-music lincity-ng-data lordsawar-data lugaru-data marsshooter-data
  megaglest-data naev-data pushover-data scorched3d-data singularity-music starfighter-data supertuxkart-data
  torus-trooper-data tuxmath-data unknown-horizons warzone2100-music wesnoth-1.16-music widelands-data"
soundfonts="fluid-soundfont-gm musescore-general-soundfont csound-soundfont timgm6mb-soundfont"
[ "${4:-}" = small ] && game_music="pushover-data tuxmath-data"

mkdir -p "$material/packages"
cd "$material/packages"
for package in $soundfonts $game_music; do
    [ -e "$package.done" ] && continue
    apt-get download -qq "$package"
    # sound alone: the rest of a game is not needed
    dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x --wildcards '*.sf2' '*.sf3' '*.ogg' '*.mp3' '*.opus' '*.flac' '*.wav' '*/public.zip' || true
    find . -name public.zip -exec unzip -q -o {} 'audio/music/*' -d 0ad-music ';' -delete # 0ad keeps its music in an archive
    rm -f "$package"_*.deb
    touch "$package.done"
done

cd "$here"
export OMP_NUM_THREADS=1
[ -e "$material/notes/clips.json" ] || python -m recipe notes "$data" "$material"
python -m recipe scenes "$data" "$material" --teacher "$teacher" --held-out --last $validation \
    --font "$fonts/sf2/TimGM6mb.sf2"
train_on="--font $fonts/sf2/FluidR3_GM.sf2 --font $fonts/sf3/MuseScore_General_Full.sf3 --font $fonts/sf2/sf_GMbank.sf2"
# shellcheck disable=SC2086 # one word for each font
python -m recipe scenes "$data" "$material" --teacher "$teacher" --first 0 --last $half $train_on &
other=$!
# shellcheck disable=SC2086
python -m recipe scenes "$data" "$material" --teacher "$teacher" --first $half --last $scenes $train_on
wait $other
python -m recipe music "$material/packages" "$material" --teacher "$teacher"
python -m recipe head "$material" "$teacher"
unset OMP_NUM_THREADS
training="--epochs $epochs --restart $restart --steps $steps"
# Half the training, then the music is labelled by the teacher and this student together, then the other half.
# shellcheck disable=SC2086
python -m recipe.train "$material" "$material/model" $training --until $restart
if [ ! -e "$material/labelled-twice" ]; then
    OMP_NUM_THREADS=1 python -m recipe head "$material" "$teacher" --student "$material/model"
    touch "$material/labelled-twice"
fi
# shellcheck disable=SC2086
python -m recipe.train "$material" "$material/model" $training
python -m recipe.calibrate "$material/model" "$data" "$material"
python -m recipe.background "$material/model" "$material"
python -m bench recognition "$data" "$material/model"
echo "The model is in $material/model; swap it in when its table is better, with a card, and run tests/test_default_model.py."
