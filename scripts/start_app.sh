#!/usr/bin/env bash
# Starts the page, in the background: finds or makes the environment (setup.sh), and leaves the rest to i2v.launcher.
set -euo pipefail
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

case "${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}" in zh*) chinese=yes ;; *) chinese="" ;; esac

usage_in_english() {
    cat <<'TEXT'
bash scripts/start_app.sh [OPTION...]     sets up what is missing and starts the page in the background

  --foreground      stay in the foreground, for containers and service managers
  --status          tell whether it runs, where, and what it does (exit code 3: it does not run)
  --logs            follow its log
  --restart         stop it, then start it
  --stop            stop it; a running job goes back to the queue, and nothing is lost

  --port N          listen at this port instead of 7860
  --host NAME       listen there instead of 127.0.0.1; 0.0.0.0: on the network, with an access token
  --config FILE     settings to use instead of config.yaml
TEXT
}

usage_in_chinese() {
    cat <<'TEXT'
bash scripts/start_app.sh [选项...]     准备好环境，然后在后台启动网页

  --foreground      留在前台，供容器和服务管理器使用
  --status          查看是否在运行、地址、任务数（退出码 3：没有运行）
  --logs            跟踪日志
  --restart         先停止，再启动
  --stop            停止；未完成的任务会回到队列，不会丢失

  --port N          使用此端口，而不是 7860
  --host NAME       监听此地址，而不是 127.0.0.1；0.0.0.0：局域网可访问，需要访问令牌
  --config FILE     使用此设置文件，而不是 config.yaml
TEXT
}

only_looks=""
for argument in "$@"; do
    case $argument in
        -h | --help) if [ -n "$chinese" ]; then usage_in_chinese; else usage_in_english; fi && exit ;;
        --status | --logs | --stop) only_looks=$argument ;;
    esac
done

if [ -n "${I2V_PYTHON:-}" ]; then
    python=$I2V_PYTHON
elif [ -n "$only_looks" ]; then # installs nothing
    plan=$(bash "$scripts/setup.sh" --plan) || exit 1
    python=$(printf '%s' "$plan" | sed -n 's/^environment=//p')/bin/python
    if ! "$python" -P -c 'import i2v' 2>/dev/null; then
        if [ -n "$chinese" ]; then echo "[INFO] 尚未安装，没有应用在运行"; else echo "[INFO] Nothing is installed, so nothing runs"; fi
        if [ "$only_looks" = --status ]; then exit 3; else exit 0; fi
    fi
fi
if [ -z "$only_looks" ]; then
    title="Image-to-Video launcher"
    if [ -n "$chinese" ]; then title="Image-to-Video 应用启动器"; fi
    line="================================================================================"
    printf '%s\n' "$line" "🚀 $title" "$line"
    python=${python:-$(bash "$scripts/setup.sh")}
fi
exec "$python" -P -m i2v.launcher "$@"
