# SPDX-License-Identifier: GPL-2.0
#
# Read the KTAP of run-tests as it comes, show each result, and count the
# innermost ones: those of a test program, or the program itself where it has
# none.  "passed failed skipped" goes to the file named by the variable out.

BEGIN {
	if (tty) {
		red = "\033[31m"
		off = "\033[0m"
	}
	said = 0
	plan = -1
}

function show(word, text) {
	if (word == "FAIL") {
		for (i = 0; i < said; i++)
			print "        " notes[i]
		printf "  %sFAIL%s  %s\n", red, off, text
		failed++
	} else if (word == "skip") {
		printf "  skip  %s\n", text
		skipped++
	} else {
		printf "  ok    %s\n", text
		passed++
	}
	fflush()
	said = 0
}

# What comes before a failed result tells why it failed.
function remember(text) {
	notes[said++] = text
	if (said > 40) {
		for (i = 1; i < said; i++)
			notes[i - 1] = notes[i]
		said--
	}
}

function label(text) {
	sub(/^(not )?ok[ \t]*/, "", text)
	sub(/^[0-9]+[ \t]*/, "", text)
	sub(/^- /, "", text)
	return text
}

{ sub(/\r$/, "") }

/^# selftests: img: / {
	name = $4
	inner = 0
	said = 0
	print name
	fflush()
	next
}

/^# kmemleak/ {
	name = ""
	inner = 0
	said = 0
	next
}

/^# took [0-9]+ s$/ {
	print "  (" $3 " s)"
	fflush()
	next
}

/^# (not )?ok([ \t]|$)/ {
	inner++
	text = label(substr($0, 3))
	if (/^# not ok/)
		show("FAIL", text)
	else if (toupper($0) ~ /# SKIP/)
		show("skip", text)
	else
		show("ok", text)
	next
}

/^(not )?ok([ \t]|$)/ {
	seen++
	if (!inner) {
		text = label($0)
		sub(/^(selftests|samples): img: /, "", text)
		if (/^not ok/)
			show("FAIL", text)
		else if (/# SKIP/)
			show("skip", text)
		else
			show("ok", text)
	}
	name = ""
	inner = 0
	next
}

plan < 0 && /^1\.\.[0-9]+/ {
	plan = substr($1, 4) + 0
	next
}

/^#/ {
	remember(substr($0, 3))
	next
}

END {
	if (name != "")
		show("FAIL", name ": the guest stopped during it")
	else if (plan < 0)
		show("FAIL", "the guest ran no tests")
	else if (seen < plan)
		show("FAIL", "the guest stopped before all tests had run")
	print passed + 0, failed + 0, skipped + 0 >out
}
