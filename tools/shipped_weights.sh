#!/usr/bin/env bash
# Train all shipped weights again: shipped_weights.sh DATA RUNS
#
# DATA holds nyuv2/ and nyuv2_depth_only/. All results go to RUNS, the shipped files to its top. If
# the script is stopped and started again, it continues. It takes five and a half hours on two
# cores.
set -euo pipefail
tools=$(realpath "$(dirname "$0")")
data=(--data "$(realpath "$1")/nyuv2")
raw=$(realpath "$1")/nyuv2_depth_only
mkdir -p "$2"
cd "$2"
hydranet=hydranet_nyu40.safetensors
depth=depth_mobilenetv2.safetensors
semantics=semantics_mobilenetv2.safetensors

# One network for both tasks, and the single-task networks that start where it ended.
jrn_train hydranet "${data[@]}" --output first
jrn_train depth "${data[@]}" --output first
jrn_train semantics "${data[@]}" --output first

# Different continuations from there. The means of their weights are better than each of them.
on() {
  jrn_train hydranet "${data[@]}" --output "$1" --set start="first/$hydranet" --set mix_after=0 "${@:2}"
}
short=(--set epochs=8 --set encoder_rate=1e-4 --set decoder_rate=4e-4)
on mixed --set epochs=45 --set mix_share=0.75 --set weight_decay=0.05 --set colour_jitter=0.5
jrn_train semantics "${data[@]}" --output mixed
on plain "${short[@]}"
test -e distilled/all.txt ||
  jrn_distill nyuv2_depth_only "$raw" distilled --weights "first/$hydranet"
on hard "${short[@]}" --extra folder=distilled@all
on soft "${short[@]}" --extra nyuv2_depth_only="$raw" --teacher "first/$hydranet"
jrn_average {first,mixed,plain,hard,soft}/$hydranet "${data[@]}" --output mean/$hydranet
jrn_average first/$depth {hard,soft}/$hydranet "${data[@]}" --output mean/$depth
jrn_average {first,mixed}/$semantics plain/$hydranet "${data[@]}" --output mean/$semantics

# The mean is trained further, as its own teacher, with the frames that have depth alone.
jrn_train hydranet "${data[@]}" --output long --set start=mean/$hydranet --set mix_after=0 \
  --set epochs=26 --set encoder_rate=1.5e-4 --set decoder_rate=5e-4 --set ema_decay=0.998 \
  --set zoom=[0.6,1.8] --set extra_share=0.3 --extra nyuv2_depth_only="$raw" \
  --teacher mean/$hydranet
jrn_average long/$hydranet{,} mean/$hydranet "${data[@]}" --output base/$hydranet
jrn_average mean/$depth long/$hydranet "${data[@]}" --output base/$depth
jrn_average mean/$semantics long/$hydranet "${data[@]}" --output base/$semantics

# HydraNet is trained further at small rates on whole pictures with small changes, as at inference.
jrn_train hydranet "${data[@]}" --output whole --set start=base/$hydranet --set mix_after=0 \
  --set epochs=6 --set encoder_rate=5e-5 --set decoder_rate=2e-4 --set crop=[288,384] \
  --set zoom=[0.85,1.35] --set rotation=3 --set colour_jitter=0.3 --set mix_share=0.25 --set seed=2
jrn_average whole/$hydranet{,} base/$hydranet "${data[@]}" --output $hydranet
jrn_average base/$depth $hydranet{,} "${data[@]}" --output $depth
jrn_average base/$semantics $hydranet{,} "${data[@]}" --output $semantics

# The JRNs refine the depth and semantics networks. They learn from the predictions of a network for
# the half of the frames that it has not seen.
jrn_train hydranet "${data[@]}" --output half --hold-out 1/2 --set epochs=18 --set mix_after=0
jrn_train jrn "${data[@]}" --output . --fold half

# For a depth camera, simulated, Sum60 learns from two networks and the half of the frames that each
# has not seen.
for k in 1 2; do
  jrn_train hydranet "${data[@]}" --output "fold$k" --hold-out "$k/2" --start ade20k --epochs 20 \
    --mix-after 0 --seed "$k"
done
mkdir -p sensor
for name in "$depth" "$semantics"; do
  cp "$name" "${name%.safetensors}.json" sensor
done
jrn_train jrn "${data[@]}" --output sensor --variant sum60 --depth-input sensor --fold fold1 \
  --fold fold2 --options '{"output_stride": 4, "residual": true, "geometry": true}'
for suffix in safetensors json; do
  cp "sensor/jrn_sum60.$suffix" "jrn_sum60_sensor.$suffix"
done

# The temperatures of the confidence and the deviation of HydraNet's depth. They change neither the
# weights nor the inputs of the JRNs.
for file in $hydranet $semantics jrn_{sum60,sum60_sensor,cat60,cat10,cat5,cat1}.safetensors; do
  jrn_calibrate $file "${data[@]}"
done
jrn_calibrate $hydranet "${data[@]}" --depth

# HydraNet for machines without torch: onnx/hydranet_nyu40.onnx.
python "$tools/shipped_onnx.py" $hydranet onnx
