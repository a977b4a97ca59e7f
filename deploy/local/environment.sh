#!/bin/sh
# Makes .venv if there is none and installs one list of hashed pins into it: sh deploy/local/environment.sh requirements/local.txt
# With uv if there is one; else with Python 3.11 or later, which brings uv into .venv and nowhere else.
set -eu
cd "$(dirname "$0")/../.."
list=$1

find_python() {
    for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
        if "$name" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "Onefriend needs uv (https://docs.astral.sh/uv/) or Python 3.11 or later with pip; neither was found. Install one and try again." >&2
    exit 1
}

# Whether there is an environment to install into, and a uv to do it. Not where a checkout was moved, a Python removed, or
# the first set-up interrupted before it had fetched uv.
usable() {
    .venv/bin/python -c pass 2>/dev/null && { command -v uv >/dev/null 2>&1 || [ -x .venv/bin/uv ]; }
}

if ! usable; then
    echo "Making .venv (once)."
    rm -rf .venv
    if command -v uv >/dev/null 2>&1; then
        uv venv --quiet --python '>=3.11' .venv
    else
        python=$(find_python)
        # Without pip, because some systems split ensurepip off; the outer pip can install into the environment as well.
        "$python" -m venv --without-pip .venv
        "$python" -m pip --quiet --disable-pip-version-check --python .venv/bin/python install --require-hashes -r requirements/uv.txt
    fi
fi

uv=$(command -v uv || echo .venv/bin/uv)
echo "Installing $list."
"$uv" pip install --quiet --python .venv/bin/python --require-hashes -r "$list"
# Compiled now, once: where Python is told not to write bytecode, every process would compile everything anew. What a
# package has in files for other versions of Python does not compile, and need not.
.venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
