#!/bin/sh
# Fuzzes one target, or each in turn: run.sh TARGET|all SECONDS. Fails when anything was found.
set -eu
cd "$(dirname "$0")/.."
wanted=${1:-all}
seconds=${2:-900}
sanitizer=${SANITIZER:-none}
# An input is evaluated several times by the oracles, and the machine may be busy: what is bounded takes at most a second.
timeout=${TIMEOUT:-20}
CARGO=${CARGO:-cargo}

if ! $CARGO fuzz --version >/dev/null 2>&1; then
    echo "fuzzing needs cargo-fuzz, which is not installed: cargo install cargo-fuzz --locked" >&2
    exit 2
fi
all="workflow worker expression document schema"
case " all $all " in
*" $wanted "*) ;;
*)
    echo "there is no target \`$wanted\`: choose all or one of $all" >&2
    exit 2
    ;;
esac
[ "$wanted" = all ] && wanted=$all

# The fuzzer's instrumentation is not stable; this lets the stable compiler build it.
export RUSTC_BOOTSTRAP=1
failed=
for target in $wanted; do
    mkdir -p "fuzz/corpus/$target"
    $CARGO fuzz build -O -a -s "$sanitizer" "$target"
    # Threads have 2 MiB of stack, so what is read must fit that. A sanitizer makes frames several times larger.
    (
        [ "$sanitizer" = none ] && ulimit -s 2048
        exec $CARGO fuzz run -O -a -s "$sanitizer" "$target" "fuzz/corpus/$target" "fuzz/corpus-seeds/$target" -- \
            -dict="fuzz/dictionaries/$target.dict" -max_total_time="$seconds" -timeout="$timeout" -rss_limit_mb=2048 \
            -max_len=65536 -print_final_stats=1 -verbosity="${VERBOSITY:-1}"
    ) || failed="$failed $target"
done
if [ -n "$failed" ]; then
    echo "found something:$failed. The inputs are in fuzz/artifacts/; a fix brings its test along." >&2
    exit 1
fi
