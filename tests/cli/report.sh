#!/bin/sh
# report.sh CSP FOLDER SAMPLE - csp report and csp gap as a shell sees them
set -u

csp=$1 work=$2 sample=$3

# In a file, as some are called behind a pipe, in a shell of its own.
bad() { echo "FAILED: $*" | tee -a failures; }

# refuses CODE WHAT COMMAND...: this code, one line that says WHAT, and no file left.
refuses()
{
    code=$1 what=$2
    shift 2
    rm -f out.html
    "$@" >stdout 2>stderr
    [ $? = "$code" ] || bad "expected exit code $code: $*"
    [ "$(wc -l <stderr)" = 1 ] || bad "expected one line: $*"
    grep -q -- "$what" stderr || bad "expected '$what', found '$(cat stderr)': $*"
    [ -e out.html ] && bad "left a file: $*"
    ls -A . | grep -q '^\.csp' && bad "left a temporary file: $*"
}

# The tokens by modality and reason, layer after layer.
splits() { grep -o '"split":[^a-z]*' "$1"; }

# All numbers that do not need the scores.
numbers()
{
    grep -oE '"(mean_)?int(ra|er)":\{"levels[^}]*|"kept":"[^"]*' "$1"
    grep -oE '"(mass|split|sinks)":\[[][0-9.,e+nul-]*\]' "$1"
}

rm -rf "$work" && mkdir -p "$work" && cd "$work" || exit 1
"$sample" 3 4 12 200 >scores.npy || exit 1
input="scores.npy --dtype bf16 --spans 12:87=image,100:175=image,190:195=audio"

# ---- A report of scores, and of what prune wrote ----

for method in "--budget 25% --sinks 2 --recent 8 --inter-share auto" \
    "--budget 40 --inter 9 --intra 5 --pool avg:5 --block 2 --kv-heads 2" \
    "--budget 30% --preset paper" "--budget 30% --preset reference" \
    "--budget 20% --weights visible-rows --inter 9" "--budget 20% --preset snapkv" "--budget 20 --scope layer --inter 10" \
    "--budget 20 --scope global --inter 10" "--budget 200" "--budget 9 --n 0"; do
    rm -rf out a.html b.html c.html
    "$csp" report $input $method -o a.html || bad "report: $method"
    "$csp" report $input $method --threads 2 -o b.html || bad "report: $method"
    cmp -s a.html b.html || bad "two runs differ: $method"
    "$csp" prune $input $method --out out >stdout || bad "prune: $method"
    "$csp" report out -o c.html || bad "report of a folder: $method"
    splits a.html >a
    splits c.html >c
    [ "$(wc -l <a)" = 3 ] || bad "no three layers: $method"
    cmp -s a c || bad "the folder has other reasons: $method"
    numbers a.html >a
    numbers c.html >c
    [ "$(wc -l <a)" = 24 ] || bad "no three layers of numbers: $method"
    cmp -s a c || bad "the folder has other numbers: $method"
    grep -q '"gap":' a.html || bad "no gap from scores: $method"
    grep -q '"gap":' c.html && bad "a gap from a folder: $method"
done

# Without reasons.npy only what is protected is known.
"$csp" prune $input --budget 20 --sinks 2 --out out >stdout || bad "prune"
rm out/reasons.npy
"$csp" report out -o c.html || bad "report of a folder without reasons"
[ "$(splits c.html | grep -o '\[[0-9]*,2,0,0,0,0,0,[0-9]*\]' | wc -l)" = 12 ] ||
    bad "protected tokens of some head are lost"
"$csp" prune $input --budget 20 --sinks 2 --out out >stdout || bad "prune"

# A span of all tokens.
"$csp" prune scores.npy --dtype bf16 --spans 0:200=image --budget 20 --out whole >stdout ||
    bad "prune of an image alone"
"$csp" report whole -o c.html || bad "report of an image alone"
grep -q '"spans":\[\[0,200,1\]\]' c.html || bad "the only span is lost"

# What weighs, whether of norms or of distances.
for weight in norm distance; do
    rm -rf weighed && cp -r out weighed
    sed "s/\"value_$weight\":[^,]*/\"value_$weight\": true/" out/summary.json \
        >weighed/summary.json
    "$csp" report weighed -o c.html || bad "report of value $weight"
    grep -q "\"value $weight\"" c.html || bad "no word of value $weight"
done

# ---- The page ----

grep -q "content=\"default-src 'none'; script-src 'sha256-[A-Za-z0-9+/]*='; style-src" \
    a.html || bad "no policy"
grep -qi -e unsafe -e 'https\?:' -e ' src=' a.html && bad "something from outside"

# A name that would end the element the data are in.
name='</script><b>x&'
header="{\"$name\":{\"dtype\":\"F32\",\"shape\":[1,2,8],\"data_offsets\":[0,64]}}"
{
    printf "\\$(printf %o ${#header})\\0\\0\\0\\0\\0\\0\\0%s" "$header"
    head -c 64 /dev/zero
} >hostile.safetensors
"$csp" report hostile.safetensors --tensor "$name" --budget 4 -o hostile.html ||
    bad "a hostile name"
[ "$(grep -c '<b>x' hostile.html)" = 0 ] || bad "a name got into the page"
grep -q 'u003c/script\\u003e\\u003cb\\u003ex\\u0026' hostile.html || bad "no name"
[ "$(grep -o '</script>' hostile.html | wc -l)" = 2 ] || bad "an element more"

# ---- Size ----

"$sample" 64 32 1 16384 >large.npy || exit 1
"$csp" report large.npy --dtype bf16 --spans 1024:7168=1,8192:14336=2,15000:15100=3 \
    --budget 20% --inter-share auto -o large.html || bad "a large report"
size=$(wc -c <large.html)
[ "$size" -lt 2000000 ] || bad "a large report has $size bytes"
rm -f large.npy

# ---- What is refused ----

refuses 1 'expected -o' "$csp" report scores.npy --budget 5
refuses 1 'twice' "$csp" report scores.npy -o out.html -o out.html
refuses 1 'expected a file of scores' "$csp" report -o out.html
refuses 1 'pruned already' "$csp" report out --budget 5 -o out.html
refuses 3 'none.npy' "$csp" report none.npy --budget 5 -o out.html
refuses 3 'summary.json' "$csp" report / -o out.html
refuses 1 'budget' "$csp" report $input -o out.html
refuses 3 'nowhere' "$csp" report out -o nowhere/out.html

# broken NAME WHAT: a folder in which one file is another.
broken()
{
    cp -r out broken
    cat >broken/"$1"
    refuses 2 "$2" "$csp" report broken -o out.html
    rm -rf broken
}

broken summary.json 'expected a JSON object' </dev/null
head -c 300 out/summary.json | broken summary.json 'expected a JSON object'
{ cat out/summary.json; echo '{}'; } | broken summary.json 'nothing behind'
for change in 's/"keys":[^,]*/"keys": 0/' 's/"keys":[^,]*/"keys": 1e12/' \
    's/"keys":[^,]*/"keys": "200"/' 's/"kv_heads":[^,]*/"kv_heads": 3/' \
    's/"budget":[^,]*/"budget": -1/' 's/"block":[^,]*/"block": 0/' \
    's/"n":[^,]*/"n": null/' 's/"scope":[^,]*/"scope": "all"/' \
    's/"auto_share":[^,]*/"auto_share": 1/' 's/"parameters"/"p"/' 's/"shape"/"s"/' \
    's/"scores"/"s"/'; do
    sed "$change" out/summary.json | broken summary.json expected
done
sed 's/"keys":[^,]*/"keys": 199/' out/summary.json | broken summary.json 'spans\|goes\|go with'
sed 's/"heads":[^,]*/"heads": 8/' out/summary.json | broken summary.json 'does not go with'
sed 's/audio/smell/' out/summary.json | broken summary.json spans
sed 's/"layers":[^,]*/"layers": null/' out/summary.json | broken summary.json 'go with'
{ head -c 300 out/mask.npy; printf '\007'; tail -c +302 out/mask.npy; } |
    broken mask.npy 'found 7'
{ head -c 128 out/importance.npy; printf '\0\0\300\177'; tail -c +133 out/importance.npy; } |
    broken importance.npy 'expected importance'
{ head -c 300 out/reasons.npy; printf '\007'; tail -c +302 out/reasons.npy; } |
    broken reasons.npy 'found 7'
cat out/mask.npy | tr '\001' '\000' | tail -c +129 >zeros
{ head -c 128 out/mask.npy; cat zeros; } | broken reasons.npy 'found 0 where'
head -c 1000 out/mask.npy | broken mask.npy mask.npy

# ---- Gap ----

"$csp" gap $input >table || bad "gap"
[ "$(grep -c '^ *[0-9]' table)" = 3 ] || bad "gap: no three layers"
"$csp" gap $input --json >json || bad "gap --json"
[ "$(grep -o divergence_bits\": json | wc -l)" = 4 ] || bad "gap --json: no three layers"
"$csp" gap $input --plot gap.svg >stdout || bad "gap --plot"
[ "$(grep -c '>layer [0-9]' gap.svg)" = 3 ] || bad "gap --plot: no three layers"
[ "$(grep -c 'class="intra" d="M[0-9. ]*L' gap.svg)" = 3 ] || bad "gap --plot: no curves"
tail -n 1 gap.svg | grep -q '</svg>' || bad "gap --plot: is cut"
refuses 1 'spans' "$csp" gap scores.npy --dtype bf16
refuses 1 'has no part' "$csp" gap $input --budget 5
refuses 1 '--lse' "$csp" gap $input --kind probs
refuses 2 'scores.npy: layer 0 has negative numbers' "$csp" gap $input --kind probs --n 0
refuses 3 'nowhere' "$csp" gap $input --plot nowhere/gap.svg

[ ! -e failures ]
