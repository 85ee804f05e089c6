# Keeps the processes of one control plane: starts and stops what its standard input says, and when that
# ends (its holder is gone, however it went) kills all of them and removes the folder.
# usage: sh -c SCRIPT NAME FOLDER [detached]: detached reads a FIFO in the folder, until `end` comes.
trap '' HUP
folder=$1
cd "$folder" || exit 1
pids=
finish() {
  trap '' INT TERM
  # shellcheck disable=SC2086
  [ -z "$pids" ] || kill -KILL $pids 2>/dev/null
  wait
  cd / && rm -rf "$folder"
  exit 0
}
trap finish INT TERM
if [ "${2:-}" = detached ]; then
  # Open for reading and writing: it has no end while this shell lives.
  mkfifo -m 600 orders && exec 0<>orders || exit 1
fi
while read -r order name; do
  case $order in
  start)
    sh "./$name.sh" </dev/null >>"$name.log" 2>&1 &
    pids="$pids $!"
    echo "$!" >"$name.pid.new" && mv "$name.pid.new" "$name.pid"
    ;;
  stop)
    pid=$(cat "$name.pid")
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    rest=
    for other in $pids; do
      [ "$other" = "$pid" ] || rest="$rest $other"
    done
    pids=$rest
    rm -f "$name.pid"
    ;;
  end) break ;;
  esac
done
finish
