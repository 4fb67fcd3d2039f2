# Draw what eval_accuracy wrote: gnuplot -e "csv='...'; folder='...'" accuracy.gp
#
# accuracy.svg: right answers against the budget, a panel for each protocol.
set datafile separator comma
set terminal svg size 1040,520 dynamic font "sans-serif,14" background "#ffffff"
set border 3 linecolor rgb "#555555"
set tics nomirror
set grid linecolor rgb "#dddddd" linewidth 1
set xlabel "tokens kept, percent"
set ylabel "right answers, percent"
set xrange [4:52]
set yrange [0:100]
set xtics (5, 10, 15, 20, 30, 50)
set key outside bottom center horizontal samplen 1.5 width -1

array variants[7] = ["csp_moments", "csp", "joint", "h2o", "snapkv", "streaming", "random"]
array names[7] = ["CSP, summary", "CSP", "joint ranking", "H2O-like", "SnapKV-like", \
    "Streaming-like", "random"]
array colours[7] = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#999999", \
    "#bbbbbb"]

# A column where a row is of this protocol and variant; gnuplot skips the rest.
of(protocol, variant, n) = \
    strcol(1) eq protocol && strcol(2) eq variant ? 100 * column(n) : NaN

set output folder . "/accuracy.svg"
set multiplot layout 1,2
do for [protocol in "window after"] {
    set title protocol eq "window" ? "question in the window" : "question after pruning"
    plot for [i = 1:7] csv using 3:(of(protocol, variants[i], 5)):(of(protocol, variants[i], 6)) \
        with yerrorlines linecolor rgb colours[i] linewidth 1.7 pointtype 7 pointsize 0.4 \
        title names[i]
}
unset multiplot
