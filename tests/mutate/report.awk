# report.awk - results of all mutants, against the list of equivalent ones
#
# awk -f report.awk equivalent.txt mutants, whose lines are: verdict, file, line number,
# the line, the changed line, tabs between.  Fails if less than nine of ten are killed,
# of all or of the program's.

function trim(s) { gsub(/^[ \t]+|[ \t]+$/, "", s); return s }

FNR == NR {
    if ($0 ~ /^[a-z_0-9\/]+\.[ch]$/) { file = $0; old = "" }
    else if ($0 ~ /^- /) old = trim(substr($0, 3))
    else if ($0 ~ /^\+ /) { new = trim(substr($0, 3)); known[file, old, new] = 1 }
    next
}
{
    split($0, field, "\t")
    part = field[2] ~ /^cli\// ? "program" : "library"
    verdict = field[1]
    n[part]++
    if (verdict == "") { untested++; next }
    if (verdict !~ /^survived/) { killed[part]++; hung[part] += verdict ~ /^hung/; next }
    old = trim(field[4]); new = trim(field[5])
    if ((field[2], old, new) in known) { equivalent[part]++; next }
    printf "survived %s:%d\n    - %s\n    + %s\n", field[2], field[3], old, new
    survived[part]++
}

function say(part)
{
    printf "%s: %d mutants, %d killed (%d of them by a time limit), %d survived, " \
        "%d equivalent\n", part, n[part], killed[part], hung[part], survived[part],
        equivalent[part]
}
function percent(some, all) { return all > 0 ? 100 * some / all : 100 }

END {
    say("library")
    say("program")
    total = n["library"] + n["program"]
    if (untested) {
        printf "%d of %d mutants are not tested yet: go on\n", untested, total
        exit 3
    }
    of_all = percent(killed["library"] + killed["program"],
        total - equivalent["library"] - equivalent["program"])
    of_program = percent(killed["program"], n["program"] - equivalent["program"])
    printf "figure mutants %d\n", total
    printf "figure mutants_killed_percent %.1f\n", of_all
    printf "figure program_mutants %d\n", n["program"]
    printf "figure program_mutants_killed_percent %.1f\n", of_program
    exit of_all < 90 || of_program < 90
}
