#!/usr/bin/env bash
# Brings one Python environment up to what pyproject.toml asks for, and prints the path of its Python.
#
#     bash scripts/setup.sh [--plan] [EXTRA...]          for example: bash scripts/setup.sh test
#
# Standard output is that path alone (with --plan, which changes nothing: what would be done); what is meant for a
# person goes to standard error, pip's own words to logs/setup.log. The environment is the first of
#     1. the active virtual environment, or the active conda environment, but never conda's base;
#     2. .venv in this folder;
#     3. the conda environment torch28;
#     4. a new .venv, made with Python 3.11, 3.12 or 3.13 (3.11 first: constraints.txt was tested on it);
#     5. a new .venv, made by uv, which can fetch a Python 3.11 itself.
# Settings: all of pip's own (PIP_INDEX_URL, ...) are honoured, and
#     I2V_TORCH        cpu or cuda; without it, cuda if nvidia-smi works
#     I2V_TORCH_INDEX  a package index to look for torch in besides pip's own: a mirror, or builds for another CUDA
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$(pwd -P)
log=logs/setup.log
HOME=${HOME:-/}

case "${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}" in zh*) chinese=yes ;; *) chinese="" ;; esac

# say MARK ENGLISH CHINESE: one line for the person who started this.
say() {
    local words=$2
    if [ -n "$chinese" ]; then words=$3; fi
    printf '[%s] %s\n' "$1" "$words" >&2
}
fail() { say ERROR "$1, then run this again" "$2，然后重新运行"; exit 1; }

# ---- which environment -----------------------------------------------------------------------------------------

version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null </dev/null; }
supported() { case "$1" in 3.11.* | 3.12.* | 3.13.*) ;; *) return 1 ;; esac }

# accept DIR NAME: take this existing environment, if its Python is one we support.
accept() {
    version=$(version_of "$1/bin/python") || version=""
    if supported "$version"; then
        env_dir=$1 python=$1/bin/python
        return
    fi
    say INFO "$2 is passed over: its Python ${version:-does not start}${version:+ is not 3.11 to 3.13}" \
        "跳过 $1：其中的 Python ${version:-无法启动}${version:+ 不是 3.11 到 3.13}"
    return 1
}

choose_environment() {
    maker=""
    if [ -n "${VIRTUAL_ENV:-}" ] && accept "$VIRTUAL_ENV" "The active environment $VIRTUAL_ENV"; then return; fi
    # Only conda's base has a folder condabin, whatever its name.
    if [ -n "${CONDA_PREFIX:-}" ] && [ "${CONDA_DEFAULT_ENV:-}" != base ] && [ ! -d "$CONDA_PREFIX/condabin" ] &&
        accept "$CONDA_PREFIX" "The active conda environment ${CONDA_DEFAULT_ENV:-$CONDA_PREFIX}"; then return; fi
    if [ -e .venv ]; then
        if accept "$root/.venv" "The folder .venv"; then return; fi
        [ -z "$version" ] || fail "The Python $version of .venv is not 3.11 to 3.13. Fix: rm -r '$root/.venv'" \
            ".venv 的 Python $version 不是 3.11 到 3.13。解决办法：rm -r '$root/.venv'"
    fi
    local conda prefix
    for conda in conda "$HOME"/mini{conda,forge}3/bin/conda "$HOME/anaconda3/bin/conda"; do
        prefix=$("$conda" env list 2>/dev/null </dev/null | sed -n 's/^torch28 [ *+]*//p') || continue
        if [ -n "$prefix" ] && accept "$prefix" "The conda environment torch28"; then return; fi
        break
    done
    find_maker
    env_dir=$root/.venv python=$root/.venv/bin/python
}

# Set `maker` to what can make .venv: a Python that starts (a pyenv shim may not) and has venv, or else uv.
find_maker() {
    local candidate seen="" no_venv=""
    for candidate in python3.11 python3.12 python3.13 python3 python; do
        version=$(version_of "$candidate") || continue
        if ! supported "$version"; then
            seen=${seen:-" ($candidate is $version)"}
        elif "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            maker=$candidate
            return
        else
            no_venv=${no_venv:-"python${version%.*}-venv"}
        fi
    done
    for candidate in uv "$HOME/.local/bin/uv"; do
        if "$candidate" --version >/dev/null 2>&1; then
            maker=$candidate version=3.11
            return
        fi
    done
    [ -z "$no_venv" ] || fail "Python's venv module is missing. Fix: sudo apt install $no_venv" \
        "缺少 Python 的 venv 模块。解决办法：sudo apt install $no_venv"
    if command -v conda >/dev/null; then
        fail "No Python 3.11 to 3.13 here$seen. Fix: conda create -y -n torch28 python=3.11" \
            "没有找到 Python 3.11 到 3.13$seen。解决办法：conda create -y -n torch28 python=3.11"
    fi
    local uv="python3 -m pip install --user uv"
    fail "No Python 3.11 to 3.13 here$seen. Fix: install Python 3.11 with its venv module, or uv ($uv), which brings one" \
        "没有找到 Python 3.11 到 3.13$seen。解决办法：安装 Python 3.11 及其 venv 模块，或安装自带 Python 的 uv（$uv）"
}

make_environment() {
    say INFO "Making .venv with $maker (Python $version)" "正在用 $maker（Python $version）创建 .venv"
    rm -rf .venv # there is one only if its Python does not start
    case $maker in
        *uv) "$maker" venv --quiet --python 3.11 --seed ${PIP_INDEX_URL:+--index-url "$PIP_INDEX_URL"} .venv \
            >>"$log" 2>&1 || version_of .venv/bin/python >/dev/null || # only pip is missing: ensurepip brings it
            fail "uv could not make .venv: $(last_words). Fix: check the network, or install Python 3.11" \
                "uv 无法创建 .venv：$(last_words)。解决办法：检查网络，或安装 Python 3.11" ;;
        *) "$maker" -m venv .venv >>"$log" 2>&1 ||
            fail "$maker could not make .venv: $(last_words). Fix: sudo apt install python${version%.*}-venv" \
                "$maker 无法创建 .venv：$(last_words)。解决办法：sudo apt install python${version%.*}-venv" ;;
    esac
}

# ---- which torch -----------------------------------------------------------------------------------------------

choose_torch() {
    case "${I2V_TORCH-}" in
        cpu | cuda) torch=$I2V_TORCH ;;
        "") torch=cpu && if nvidia-smi -L >/dev/null 2>&1; then torch=cuda; fi ;;
        *) fail "I2V_TORCH=$I2V_TORCH is not accepted. Fix: set it to cpu or cuda, or leave it out" \
            "I2V_TORCH=$I2V_TORCH 不可用。解决办法：设为 cpu 或 cuda，或不设置" ;;
    esac
}

# The installed torch as VERSION/BUILD, e.g. 2.13.0/cpu or 2.13.0/13.0, or nothing. Not imported: that takes seconds.
installed_torch() {
    "$python" -I - <<'PYTHON'
import importlib.metadata, runpy
try:
    torch = importlib.metadata.distribution("torch")
except importlib.metadata.PackageNotFoundError:
    raise SystemExit
cuda = runpy.run_path(str(torch.locate_file("torch/version.py")))["cuda"]
print(torch.version.split("+")[0], cuda or "cpu", sep="/")
PYTHON
}

answers() { "$python" -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)' "$1" 2>/dev/null; }

# PyPI's torch for Linux is the CUDA build; the CPU builds have an index of their own. pip prefers 2.13.0+cpu to 2.13.0.
install_torch() {
    local have pinned replace="" index=${I2V_TORCH_INDEX:-}
    have=$(installed_torch) pinned=$(sed -n 's/^torch==//p' constraints.txt)
    case "$torch:$have" in
        "cuda:$pinned/cpu") replace=yes ;; # to pip 2.13.0+cpu is 2.13.0 and would stay
        *":$pinned/"*) return ;;
    esac
    if [ -z "$index" ] && [ "$torch:$(uname -s)" = cpu:Linux ]; then index=https://download.pytorch.org/whl/cpu; fi
    if [ -n "$index" ] && ! answers "${index%/}/torch/"; then
        say INFO "$index does not answer: torch comes from pip's own index, perhaps as the larger CUDA build" \
            "$index 没有应答：改从 pip 默认的源安装 torch，可能是较大的 CUDA 版本"
        index=""
    fi
    run_pip torch ${replace:+--force-reinstall --no-deps} ${index:+--extra-index-url "$index"}
}

check_cuda() {
    case "$(installed_torch)" in
        */cpu) fail "pip brought a CPU build of torch. Fix: set I2V_TORCH_INDEX to an index with CUDA builds or I2V_TORCH=cpu" \
            "pip 装上的是 CPU 版 torch。解决办法：把 I2V_TORCH_INDEX 设为有 CUDA 版的源，或设 I2V_TORCH=cpu" ;;
    esac
    "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>>"$log" ||
        say WARN "torch does not see the GPU. Fix: update the NVIDIA driver; or remove '$env_dir', set I2V_TORCH_INDEX to an \
index with builds for an older CUDA, and run this again" \
            "torch 看不到 GPU。解决办法：更新 NVIDIA 驱动；或删除 '$env_dir'，把 I2V_TORCH_INDEX 设为较旧 CUDA 版本的源，\
再重新运行"
}

# ---- installing ------------------------------------------------------------------------------------------------

last_words() { { grep ERROR "$log" || grep -v '^ *$' "$log"; } | tail -n 1 | sed 's/^ *//'; }

run_pip() {
    local line
    "$python" -m pip install --no-input --disable-pip-version-check -c constraints.txt "$@" 2>&1 |
        while IFS= read -r line; do
            printf '%s\n' "$line" >>"$log"
            case $line in *.metadata*) ;; *Downloading*) printf '%s\n' "$line" >&2 ;; Installing*) say INFO "Unpacking" "正在解包" ;; esac
        done || explain_pip
}

explain_pip() {
    case $(tail -n 20 "$log") in
        *"No space left"*) fail "The disk is full. Fix: free $need GB for $env_dir and for pip's downloads" \
            "磁盘已满。解决办法：为 $env_dir 和 pip 的下载腾出 $need GB" ;;
        # An index that does not answer or lacks a version: to pip both look like a conflict with constraints.txt.
        *onnect* | *"timed out"* | *ProxyError* | *SSLError* | *"No matching distribution"* | *ResolutionImpossible*)
            fail "Packages cannot be downloaded (log: $root/$log). Fix: check the network, or set PIP_INDEX_URL to another index" \
                "软件包下载失败（日志：$root/$log）。解决办法：检查网络，或把 PIP_INDEX_URL 设为其他源" ;;
    esac
    fail "pip failed: $(last_words). Fix: see $root/$log" "pip 出错：$(last_words)。解决办法：见 $root/$log"
}

check_disk() {
    local dir=$root free
    need=3
    if [ "$torch" = cuda ]; then need=9; fi
    if [ -z "$maker" ]; then
        dir=$env_dir
        [ -z "$(installed_torch)" ] || return 0
    fi
    free=$(df -Pk "$dir" | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free" -ge "$need" ] || fail "Only $free GB are free, $env_dir takes $need GB. Fix: free some space" \
        "只剩 $free GB，而 $env_dir 需要 $need GB。解决办法：腾出空间"
}

# What set-up depends on, and the packages it left: any change of these, or of the folder's place, makes it run again.
fingerprint() {
    "$python" -I - "$torch" "$root" <<'PYTHON'
import hashlib, pathlib, sys, sysconfig
root = pathlib.Path(sys.argv[2])
packages = sorted(p.name for p in pathlib.Path(sysconfig.get_path("purelib")).glob("*-info"))
digest = hashlib.sha256(repr((sys.version, sys.argv[1:], packages)).encode())
for name in "pyproject.toml", "constraints.txt", "scripts/setup.sh":
    digest.update((root / name).read_bytes())
print(digest.hexdigest())
PYTHON
}

stamp() { printf '%s/.i2v-setup%s' "$env_dir" "${1:+-$1}"; }

is_ready() {
    local now extra
    [ -z "$maker" ] || return 1
    now=$(fingerprint) || return 1
    for extra in "" "$@"; do
        [ "$(cat "$(stamp "$extra")" 2>/dev/null)" = "$now" ] || return 1
    done
}

# One set-up of this folder at a time, where the system has flock.
lock() {
    mkdir -p logs
    command -v flock >/dev/null || return 0
    exec 9>>logs/setup.lock
    flock -n 9 || {
        say INFO "Another set-up of this folder is running: waiting for it" "此目录正在被另一个进程安装：等待其完成"
        flock 9
    }
}

install() {
    : >"$log"
    check_disk
    if [ -n "$maker" ]; then make_environment; fi
    say INFO "Installing into $env_dir (torch for $torch); this takes minutes the first time; log: $log" \
        "正在安装到 $env_dir（torch：$torch），首次需要几分钟；日志：$log"
    "$python" -m pip --version >>"$log" 2>&1 || "$python" -m ensurepip >>"$log" 2>&1 ||
        fail "$env_dir has no pip. Fix: '$python' -m ensurepip" "$env_dir 中没有 pip。解决办法：'$python' -m ensurepip"
    install_torch
    local extras now extra
    extras=$(IFS=, && printf '%s' "$*")
    run_pip -e ".${extras:+[$extras]}"
    if [ "$torch" = cuda ]; then check_cuda; fi
    now=$(fingerprint)
    for extra in "" "$@"; do printf '%s\n' "$now" >"$(stamp "$extra")"; done
}

main() {
    local plan=""
    if [ "${1:-}" = --plan ]; then plan=yes && shift; fi
    case "${1:-}" in -*)
        say ERROR "setup.sh knows no option $1. Fix: bash scripts/setup.sh [--plan] [EXTRA...]" \
            "setup.sh 没有选项 $1。用法：bash scripts/setup.sh [--plan] [EXTRA...]"
        exit 1
        ;;
    esac
    choose_torch
    choose_environment
    if [ -n "$plan" ]; then
        local todo=install
        if is_ready "$@"; then todo=nothing; fi
        printf '%s\n' "environment=$env_dir" "made_with=$maker" "python=$version" "torch=$torch" "todo=$todo"
        return
    fi
    if ! is_ready "$@"; then
        lock
        # While this one waited, another may have made .venv, and filled it.
        if [ -n "$maker" ] && version_of .venv/bin/python >/dev/null; then choose_environment; fi
        is_ready "$@" || install "$@"
    fi
    say SUCCESS "Environment ready: $env_dir (Python $version, torch for $torch)" \
        "环境已就绪：$env_dir（Python $version，torch：$torch）"
    printf '%s\n' "$python"
}

main "$@"
