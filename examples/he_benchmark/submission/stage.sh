#!/bin/sh
# One stage of the ML-inference workload: build/ has a link to this file for every stage, and its name says which.
# The harness runs it in the root of the workload, and gives it the size of the instance: 0, 1, 2 or 3.
set -eu
task=$(dirname "$0")/..
python=${PYTHON:-python3}
case ${1:-} in
0) io=single images=1 ;;
1) io=small images=100 ;;
2) io=medium images=1000 ;;
3) io=large images=10000 ;;
*) io=none images=0 ;; # server_preprocess_model is told no size: it prepares all circuits
esac
pixels=datasets/$io/intermediate/test_pixels.txt
io=io/$io
he() {
    stage=$1
    shift
    exec "$python" -m he stage "$stage" --dir "$io" --model "$task/model" "$@"
}
case $(basename "$0") in
client_key_generation) he keygen --images "$images" ;;
server_preprocess_model) he prepare --again ;;
client_preprocess_input) exec "$python" "$task/pixels.py" read "$pixels" "$io/intermediate/images.npy" ;;
client_encode_encrypt_input) he encrypt --input "$io/intermediate/images.npy" --again ;;
server_encrypted_compute) he evaluate --again ;;
client_decrypt_decode) he decrypt --output "$io/intermediate/logits.npy" ;;
client_postprocess) exec "$python" "$task/pixels.py" label "$io/intermediate/logits.npy" "$io/encrypted_model_predictions.txt" ;;
esac
