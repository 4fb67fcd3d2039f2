#!/bin/sh
# browser.sh CSP FOLDER SAMPLE - the report in a real browser, without a screen
#
# Chromium opens reports of a small and of a large prompt, light and dark, wide and
# narrow.  In a copy of each a script does what a reader would and writes down what came
# of it; its policy lets that script in, and nothing else.  Pictures stay in FOLDER.
set -u

csp=$1 work=$2 sample=$3
here=$(cd "$(dirname "$0")" && pwd)
failed=0

for browser in chromium chromium-browser google-chrome none; do
    command -v $browser >/dev/null && break
done
if ! timeout 60 $browser --version >/dev/null 2>&1; then
    echo "!!! NOT TESTED in a browser: no Chromium here (make test-report gets one) !!!"
    exit 77
fi

bad() { echo "FAILED: $*"; failed=1; }

rm -rf "$work" && mkdir -p "$work" && cd "$work" || exit 1
root=
[ "$(id -u)" = 0 ] && root=--no-sandbox

# browse COLOURS WIDTH,HEIGHT OPTION... PAGE
browse()
{
    dark=
    [ "$1" = dark ] && dark=--blink-settings=preferredColorScheme=0
    size=$2
    shift 2
    timeout 120 $browser --headless $root $dark --disable-gpu --disable-dev-shm-usage \
        --hide-scrollbars --no-first-run --user-data-dir="$PWD/profile" \
        --enable-logging=stderr --v=0 --window-size=$size --virtual-time-budget=20000 "$@"
}

# The page with the script, which a nonce lets in, and ears for the console.
with_check()
{
    sed -e "s/script-src /script-src 'nonce-check' /" \
        -e 's|^<meta charset="utf-8">|&\
<script nonce="check">const problems = [];\
addEventListener("error", (e) => problems.push(e.message));\
addEventListener("unhandledrejection", (e) => problems.push(String(e.reason)));\
addEventListener("securitypolicyviolation", (e) => problems.push(e.violatedDirective));\
for (const level of ["error", "warn"])\
  console[level] = (...words) => problems.push(words.join(" "));</script>|' "$1"
    printf '<script nonce="check">'
    cat "$here/browser_check.js"
    printf '</script>\n'
}

# look NAME COLOURS SIZE PAPER: what the script found, a silent console, and a picture.
look()
{
    picture=$1-$2-${3%,*}.png
    browse $2 $3 --dump-dom "file://$PWD/$1-check.html" >dom 2>log ||
        { cat log; bad "$1: the browser failed"; }
    sed -n '/<pre id="check">/,$p' dom | sed 's/.*<pre id="check">//; s/<\/pre>.*//' >found
    grep -q '^end' found || bad "$1, $2, $3: the script did not get through"
    grep '^FAILED' found && bad "$1, $2, $3"
    grep -q "^paper $4" found || bad "$1: $(grep paper found), expected $4"
    browse $2 $3 --screenshot="$picture" "file://$PWD/$1.html#layer=1" >stdout 2>log
    grep CONSOLE log && bad "$1, $2, $3: the console is not silent"
    [ -s "$picture" ] && [ "$(wc -c <"$picture")" -gt $((blank * 5)) ] ||
        bad "$picture is blank"
    echo "$1, $2, $3: $(grep -c '^ok' found) checks; $picture"
}

"$sample" 4 8 12 200 >small.npy && "$sample" 64 32 1 16384 >large.npy || exit 1
"$csp" report small.npy --dtype bf16 --spans 12:87=image,100:175=image --budget 25% \
    --sinks 2 --recent 8 --inter-share auto -o small.html || bad "small"
"$csp" report large.npy --dtype bf16 --spans 1024:7168=image,8192:14336=image \
    --budget 20% --sinks 4 --recent 10% --inter-share auto -o large.html || bad "large"
rm -f large.npy

browse light 1200,2300 --screenshot=blank.png about:blank >stdout 2>log
blank=$(wc -c <blank.png)
for page in small large; do
    with_check $page.html >$page-check.html
done
for size in 1200,2300 500,2700; do
    look small light $size 'rgb(255, 255, 255)'
    look small dark $size 'rgb(20, 23, 27)'
done
look large light 1200,2300 'rgb(255, 255, 255)'
look large dark 500,2700 'rgb(20, 23, 27)'
rm -rf profile
exit $failed
