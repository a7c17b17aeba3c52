#!/bin/sh
# Build the submission in the folder that is given: its model, the compiled kernels, and an executable for every stage.
set -eu
task=${1:-submission}
python=${PYTHON:-python3}
"$python" "$task/model.py" "$task/model"
"$python" -m he warm
mkdir -p "$task/build"
for stage in client_key_generation server_preprocess_model client_preprocess_input client_encode_encrypt_input \
    server_encrypted_compute client_decrypt_decode client_postprocess; do
    ln -sf ../stage.sh "$task/build/$stage"
done
