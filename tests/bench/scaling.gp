# Draw what bench_scaling wrote: gnuplot -e "csv='...'; folder='...'" scaling.gp
#
# Two pictures of four panels, one for each measure: time.svg and memory.svg.  On
# logarithmic axes what grows in proportion is parallel to the grey line.
set datafile separator comma
set terminal svg size 1040,800 dynamic font "sans-serif,14" background "#ffffff"
set style line 1 linecolor rgb "#0072b2" linewidth 2 pointtype 7 pointsize 0.5
set style line 2 linecolor rgb "#d55e00" linewidth 2 pointtype 5 pointsize 0.5
set style line 3 linecolor rgb "#009e73" linewidth 2 pointtype 9 pointsize 0.6
set style line 4 linecolor rgb "#cc79a7" linewidth 2 pointtype 11 pointsize 0.6
set style line 9 linecolor rgb "#888888" linewidth 1.5 dashtype 2
set border 3 linecolor rgb "#555555"
set tics nomirror
set grid linecolor rgb "#dddddd" linewidth 1
set tmargin 3
set lmargin 11
set rmargin 4

array measures[4] = ["tokens", "heads", "window", "modalities"]
array names[4] = ["tokens", "query heads", "rows of the window", "modalities"]
middle = "{/*0.8 otherwise 8192 tokens, 8 query heads on 4 KV heads, " . \
    "64 rows, 2 modalities}"

# x where a row is of this measure; gnuplot skips the rest.
at(measure) = strcol(1) eq measure ? column(2) : NaN

# A cell of the last row of a measure.
last_of(measure, number) = real(system(sprintf( \
    "awk -F, '$1 == \"%s\" { x = $%d } END { print x }' '%s'", \
    measure, number, csv)))

thousands = 'set xtics ("2k" 2048, "8k" 8192, "32k" 32768, "128k" 131072)'

set output folder . "/time.svg"
set multiplot layout 2,2 title "Time of one layer on one thread\n" . middle \
    font ",17"
set ylabel "ms"
do for [i = 1:4] {
    set title names[i]
    set xrange [*:*]
    if (i < 4) {
        set logscale x 2
        set logscale y 10
        set yrange [*:*]
    } else {
        unset logscale
        set xrange [0.5:16.5]
        set yrange [0:*]
    }
    if (i == 1) {
        set xrange [900:145000]
        @thousands
        set key bottom right reverse Left samplen 2 spacing 1.2
    } else {
        set xtics autofreq
        unset key
    }
    x1 = last_of(measures[i], 2)
    y1 = last_of(measures[i], 3)
    plot csv using (at(measures[i])):(i < 4 ? y1 * $2 / x1 : NaN) \
            with lines linestyle 9 title "in proportion", \
        "" using (at(measures[i])):3 with linespoints linestyle 1 title "score", \
        "" using (at(measures[i])):4 with linespoints linestyle 2 title "select", \
        "" using (at(measures[i])):5 with linespoints linestyle 3 title "gather"
}
unset multiplot

set output folder . "/memory.svg"
set multiplot layout 2,2 title "Scratch of one worker\n" . middle font ",17"
set ylabel "KiB"
do for [i = 1:4] {
    set title names[i]
    unset logscale
    set xrange [*:*]
    set yrange [0:*]
    if (i < 4) { set logscale x 2 } else { set xrange [0.5:16.5] }
    if (i == 1) {
        set logscale y 10
        set xrange [900:145000]
        set yrange [*:*]
        @thousands
        set key bottom right reverse Left samplen 2 spacing 1.2
    } else {
        set xtics autofreq
        unset key
    }
    plot csv using (at(measures[i])):($7 / 1024) with linespoints linestyle 4 \
            title "score from Q and K", \
        "" using (at(measures[i])):($8 / 1024) with linespoints linestyle 2 \
            title "select", \
        "" using (at(measures[i])):($6 / 1024) with linespoints linestyle 1 \
            title "score", \
        "" using (at(measures[i])):($9 / 1024) with linespoints linestyle 3 \
            title "calibrate"
}
unset multiplot
