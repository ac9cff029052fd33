#!/usr/bin/env bash
# The browser that tests/browser opens reports in, unless there is one: Debian's Chromium (as root).
set -euo pipefail

if ! command -v chromium >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends chromium >/dev/null
fi
