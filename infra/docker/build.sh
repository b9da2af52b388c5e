#!/usr/bin/env bash
# Build the images with buildah, without a daemon and without a registry: the base is made by mmdebstrap.
#
#   infra/docker/build.sh [TARGET …] [-- BUILDAH-OPTION …]      all if none is named
#
# Needs root (or a user with subordinate ids) and the packages buildah and mmdebstrap. STORE is where images are kept,
# MIRROR and SUITE what Debian the base is. With Docker and a registry none of this is needed: docker compose build.
set -euo pipefail
cd "$(dirname "$0")/../.."

targets=()
while [[ $# -gt 0 && $1 != -- ]]; do targets+=("$1"); shift; done
[[ ${1:-} == -- ]] && shift
[[ ${#targets[@]} -gt 0 ]] || targets=(api worker ingest embedder sandbox)
store=${STORE:-/var/tmp/assistantd-images}
buildah() { command buildah --root "$store/root" --runroot "$store/run" --storage-driver "${DRIVER:-vfs}" "$@"; }

if ! buildah inspect --type image assistantd-base >/dev/null 2>&1; then
  archive=$(mktemp --suffix .tar)
  trap 'rm -f "$archive"' EXIT
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-venv \
    "${SUITE:-trixie}" "$archive" ${MIRROR:+"$MIRROR"}
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$archive" /
  buildah commit --quiet --rm "$container" assistantd-base
fi

for target in "${targets[@]}"; do
  buildah build --isolation chroot --format docker --layers --pull-never --build-arg BASE=localhost/assistantd-base \
    --file infra/docker/Dockerfile --ignorefile infra/docker/Dockerfile.dockerignore \
    --target "$target" --tag "assistantd-$target" "$@" .
done
buildah images
