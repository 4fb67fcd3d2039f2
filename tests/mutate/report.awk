# report.awk - results of all mutants, against the list of equivalent ones
#
# awk -f report.awk equivalent.txt mutants, whose lines are: verdict, file, line number,
# the line, the changed line, tabs between.

function trim(s) { gsub(/^[ \t]+|[ \t]+$/, "", s); return s }

FNR == NR {
    if ($0 ~ /^[a-z_0-9]+\.[ch]$/) { file = $0; old = "" }
    else if ($0 ~ /^- /) old = trim(substr($0, 3))
    else if ($0 ~ /^\+ /) { new = trim(substr($0, 3)); known[file, old, new] = 1 }
    next
}
{
    n++
    split($0, field, "\t")
    verdict = field[1]
    if (verdict == "") { untested++; next }
    if (verdict !~ /^survived/) { killed++; hung += verdict ~ /^hung/; next }
    old = trim(field[4]); new = trim(field[5])
    if ((field[2], old, new) in known) { equivalent++; next }
    printf "survived %s:%d\n    - %s\n    + %s\n", field[2], field[3], old, new
    survived++
}
END {
    if (untested) {
        printf "%d of %d mutants are not tested yet: go on\n", untested, n
        printf "%d killed, %d survived, %d equivalent\n", killed, survived, equivalent
        exit 3
    }
    printf "%d killed (%d of them by a time limit), %d survived, %d equivalent\n",
        killed, hung, survived, equivalent
    printf "figure mutants %d\n", n
    printf "figure mutants_killed_percent %.1f\n", 100 * killed / (n - equivalent)
    exit killed < 0.9 * (n - equivalent)
}
