# SPDX-License-Identifier: GPL-2.0
#
# Draw figures of "make bench" against the size of the memory, both in powers, as
# SVG.  Input: NAME,MEGABYTES,WHAT,MEDIAN,LEAST,MOST,RUNS with times in ns.
#
#	awk -v title=TEXT -v note=TEXT -v wanted="NAME:WHAT=LABEL;..." -f plot.awk FILE

BEGIN {
	FS = ","
	nr_series = split(wanted, series, ";")
	for (i = 1; i <= nr_series; i++) {
		split(series[i], pair, "=")
		known[pair[1]] = i
		label[i] = pair[2]
	}
	split("#1b6ca8 #c8553d #588157 #8e6c8a", color, " ")
	left = 80
	top = 60
	width = 560
	height = 300
}

function log10(v) {
	return log(v) / log(10)
}

function floor(v) {
	return int(v) - (v < int(v))
}

($1 ":" $3) in known {
	s = known[$1 ":" $3]
	n = ++points[s]
	x[s, n] = log($2) / log(2)
	mid[s, n] = log10($4 / 1e6)
	low[s, n] = log10($5 / 1e6)
	high[s, n] = log10($6 / 1e6)
	if (!any || x[s, n] < xmin)
		xmin = x[s, n]
	if (!any || x[s, n] > xmax)
		xmax = x[s, n]
	if (!any || low[s, n] < ymin)
		ymin = low[s, n]
	if (!any || high[s, n] > ymax)
		ymax = high[s, n]
	any = 1
}

function px(v) {
	return left + (v - xmin) * width / (xmax - xmin)
}

function py(v) {
	return top + height - (v - ymin) * height / (ymax - ymin)
}

function text(at_x, at_y, anchor, what) {
	printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n",
		at_x, at_y, anchor, what
}

function line(x1, y1, x2, y2, style) {
	printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n",
		x1, y1, x2, y2, style
}

function ms(power) {
	return power < 0 ? sprintf("%.*f ms", -power, 10 ^ power) :
		power < 3 ? 10 ^ power " ms" : 10 ^ (power - 3) " s"
}

function megabytes(power) {
	return power < 10 ? 2 ^ power " MB" : 2 ^ (power - 10) " GB"
}

END {
	if (!any)
		exit 1
	ymin = floor(ymin)
	ymax = floor(ymax) + 1
	if (xmax == xmin)
		xmax = xmin + 1
	print "<!-- SPDX-License-Identifier: GPL-2.0 -->"
	# The name of the language, which nothing is fetched from.
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" " \
		"font-family=\"sans-serif\" font-size=\"13\">\n", left + width + 40,
		top + height + 70 + 18 * nr_series
	print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
	printf "<text x=\"%d\" y=\"24\" font-size=\"16\">%s</text>\n", left, title
	text(left, 44, "start", note)
	for (i = ymin; i <= ymax; i++) {
		line(left, py(i), left + width, py(i), "stroke=\"#ddd\"")
		text(left - 8, py(i) + 4, "end", ms(i))
	}
	for (i = floor(xmin); i <= xmax; i += 2) {
		line(px(i), top, px(i), top + height, "stroke=\"#eee\"")
		text(px(i), top + height + 20, "middle", megabytes(i))
	}
	for (s = 1; s <= nr_series; s++) {
		style = "stroke=\"" color[s] "\" stroke-width=\"2\""
		for (n = 1; n <= points[s]; n++) {
			line(px(x[s, n]), py(low[s, n]), px(x[s, n]), py(high[s, n]),
				"stroke=\"" color[s] "\"")
			printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n",
				px(x[s, n]), py(mid[s, n]), color[s]
			if (n > 1)
				line(px(x[s, n - 1]), py(mid[s, n - 1]), px(x[s, n]),
					py(mid[s, n]), style)
		}
		line(left, top + height + 42 + 18 * s, left + 24,
			top + height + 42 + 18 * s, style)
		text(left + 32, top + height + 46 + 18 * s, "start", label[s])
	}
	print "</svg>"
}
