# Manual pages from weft.h: one of section 3 for each comment with the functions below it, a link for every other
# function of it, and the written pages of this folder with their lists filled in.
#
# They go to man3/ and man7/ in a directory:
#
#   awk -v out=DIRECTORY -v version=0.1.0 -v written="weft.3 weft-goroutines.7" -f pages.awk weft.h
#
# The header is the only text, so that it and the pages cannot differ. What is asked of it:
#
#   - a comment in the first column stands above what it is about; one that begins with "The same" goes on the page
#     of the comment before it
#   - its first sentence, up to a full stop or a semicolon, is what apropos shows
#   - what follows "Errors:" in a paragraph is about errors
#   - a line of dashes with a title begins a section; what its title says after a colon holds for all of it
#   - enums and structs are shown on the pages of functions that name them or their constants
#
# In a written page a line @FUNCTIONS@ becomes the list of all functions, and @WORDS@, @ENDS@ and @RULES@ parts of the
# comment at the head of weft.h. Any awk will do.

BEGIN { date = "2026-11-27"; pages = types = sections = 0; comment = "" }

# --- reading ---------------------------------------------------------------------------------------------------

continues { # A macro's lines.
    continues = /\\$/
    next
}
in_type {
    type_text[types] = type_text[types] "\n" $0
    if (/^}/)
        end_type()
    next
}
in_prototype {
    sub(/^ +/, " ")
    prototype = prototype $0
    end_prototype()
    next
}
in_comment || /^\/\*/ { read_comment($0); next }
/^typedef struct weft_[a-z_]+ weft_[a-z_]+;/ { handle[$3] = 1; next }
/^typedef struct [a-z_]+ {|^enum {/ {
    type_text[++types] = $0
    in_type = 1
    if (/}.*;$/)
        end_type()
    next
}
/^#define weft_[a-z_]+\(/ {
    name = $2
    sub(/\(.*/, "", name)
    add_function(name, name "();")
    continues = /\\$/
    next
}
/^#/ { continues = /\\$/; next }
/^[a-z].*[ *]weft_[a-z_0-9]+\(/ {
    prototype = $0
    end_prototype()
    next
}

function read_comment(line) {
    if (!in_comment) {
        in_comment = 1
        comment = ""
        sub(/^\/\* ?/, "", line)
    } else
        sub(/^ \*( |$)/, "", line)
    if (line ~ /\*\/$/) {
        in_comment = 0
        sub(/ *\*\/$/, "", line)
    }
    comment = comment (comment == "" ? "" : "\n") line
    if (in_comment)
        return
    if (comment ~ /^---/) {
        sub(/^--- */, "", comment)
        sub(/ *-+$/, "", comment)
        section[++sections] = comment
        comment = ""
    } else if (head == "")
        head = comment
    fresh = 1 # The next function begins a page.
}

function end_type(    name, all, i, count, line) {
    in_type = 0
    all = type_text[types]
    type_section[types] = sections
    gsub(/\/\*[^*]*\*\//, "", all) # Constants in comments are not its own.
    if (match(all, /} weft_[a-z_]+;$/))
        type_words[types] = substr(all, RSTART + 2, RLENGTH - 3) " "
    while (all ~ /^enum/ && match(all, /WEFT_[A-Z0-9_]+/)) {
        type_words[types] = type_words[types] substr(all, RSTART, RLENGTH) " "
        all = "enum" substr(all, RSTART + RLENGTH)
    }
    if (fresh)
        type_note[types] = comment
}

function end_prototype(    name) {
    in_prototype = prototype !~ /;$/
    if (in_prototype)
        return
    match(prototype, /weft_[a-z_0-9]+\(/)
    add_function(substr(prototype, RSTART, RLENGTH - 1), prototype)
}

# A function belongs to the comment above it.
function add_function(name, text) {
    if (fresh && !(comment ~ /^The same/ && pages > 0 && page_section[pages] == sections))
        page_section[++pages] = sections
    if (fresh)
        page_comment[pages, ++comments[pages]] = comment
    fresh = 0
    page[name] = pages
    order[++functions] = name
    names[pages] = names[pages] (names[pages] == "" ? "" : " ") name
    about[pages, comments[pages]] = about[pages, comments[pages]] " " name
    prototypes[pages] = prototypes[pages] (prototypes[pages] == "" ? "" : "\n") text
}

# --- writing ---------------------------------------------------------------------------------------------------

END {
    if (functions == 0) {
        print "pages.awk: no function in " FILENAME >"/dev/stderr"
        exit 1
    }
    for (i = 1; i <= pages; i++)
        write_page(i)
    count = split(written, each, " ")
    for (i = 1; i <= count; i++)
        fill(each[i])
}

function write_page(number,    all, count, file, i, shown) {
    count = split(names[number], all, " ")
    file = out "/man3/" all[1] ".3"
    for (i = 2; i <= count; i++) {
        print ".so man3/" all[1] ".3" >(out "/man3/" all[i] ".3")
        close(out "/man3/" all[i] ".3")
    }
    print ".\\\" Made from weft.h by pages.awk." >file
    print ".TH " toupper(all[1]) " 3 \"" date "\" \"weft " version "\"" >file
    print ".SH NAME" >file
    print wrapped(join(all, count, ", ") " \\- " summary(page_comment[number, 1])) >file
    print ".SH SYNOPSIS\n.nf\n.B #include <weft.h>\n.PP" >file
    count = split(prototypes[number], all, "\n")
    for (i = 1; i <= count; i++)
        print synopsis(all[i]) >file
    print ".fi" >file
    print ".SH DESCRIPTION" >file
    errors = ""
    for (i = 1; i <= comments[number]; i++) {
        said = ""
        if (comments[number] > 1) {
            print (i > 1 ? ".PP\n" : "") ".BR" bold_list(about[number, i]) >file
            said = about[number, i] ": "
            sub(/^ /, "", said)
            gsub(/ weft/, ", weft", said)
        }
        write_text(page_comment[number, i], file, number, comments[number] > 1, said)
    }
    shown = shown_types(number)
    count = split(shown, all, " ")
    if (count > 0)
        print ".SS Types" >file
    for (i = 1; i <= count; i++) {
        if (type_note[all[i]] != "")
            write_text(type_note[all[i]], file, number, i > 1, "")
        print (i > 1 || type_note[all[i]] != "" ? ".PP\n" : "") ".nf" >file
        print raw(type_text[all[i]]) >file
        print ".fi" >file
    }
    from_where(number, file)
    if (prototypes[number] ~ /(^|\n)(int|int64_t) weft/) {
        print ".SH RETURN VALUE\n0 or more, or the negative of an" >file
        print ".BR errno (3),\nwhich\n.BR weft_strerror (3)\ndescribes." >file
    }
    errors_of(number, file)
    see_also(number, file)
    close(file)
}

# What apropos shows.
function summary(text,    end) {
    gsub(/\n/, " ", text)
    sub(/ *Anywhere.*/, "", text)
    if (match(text, /(\.|;)( |$)/))
        text = substr(text, 1, RSTART - 1)
    if (text !~ /^[A-Z][A-Z]/)
        text = tolower(substr(text, 1, 1)) substr(text, 2)
    return escape(text)
}

# A prototype in bold, its arguments in italics.
function synopsis(line,    done, word) {
    done = ""
    while (match(line, /[a-z_]+[,)]/)) {
        word = substr(line, RSTART, RLENGTH - 1)
        done = done substr(line, 1, RSTART - 1) \
            (word ~ /^(void|int)$/ ? word : "\\fI" word "\\fB") substr(line, RSTART + RLENGTH - 1, 1)
        line = substr(line, RSTART + RLENGTH)
    }
    return "\\fB" done line "\\fR"
}

function bold_list(list,    all, count, i, result) {
    count = split(list, all, " ")
    for (i = 1; i <= count; i++)
        result = result " " all[i] (i < count ? " \", \"" : "")
    return result
}

# The paragraphs of a comment; what is said of errors is kept for later.
function write_text(comment, file, number, inner, whose,    all, count, i, line, paragraph) {
    count = split(comment, all, "\n")
    paragraph = ""
    for (i = 1; i <= count + 1; i++) {
        line = i <= count ? all[i] : ""
        if (line !~ /^ *$/ && line !~ /^  +/) {
            paragraph = paragraph (paragraph == "" ? "" : " ") line
            continue
        }
        if (paragraph != "") {
            if (match(paragraph, /(^| )Errors: /)) {
                errors = errors (errors == "" ? "" : " ") whose substr(paragraph, RSTART + RLENGTH)
                paragraph = substr(paragraph, 1, RSTART - 1)
            }
            if (paragraph != "")
                print (inner++ ? ".PP\n" : "") marked(paragraph, number) >file
            paragraph = ""
        }
        if (line ~ /^  +/)
            print (inner++ ? ".PP\n" : "") ".nf\n" raw(line) "\n.fi" >file
    }
}

# Numbers of the types that a page names: by themselves, or by what these name in turn.
function shown_types(number,    all, i, j, list, changed, word, count, shown) {
    all = prototypes[number] " "
    for (i = 1; i <= comments[number]; i++)
        all = all page_comment[number, i] " "
    do {
        changed = 0
        for (i = 1; i <= types; i++) {
            if (i in shown || type_section[i] != page_section[number])
                continue
            count = split(type_words[i], word, " ")
            for (j = 1; j <= count; j++)
                if (all ~ ("(^|[^A-Za-z_])" word[j] "([^A-Za-z_]|$)")) {
                    shown[i] = changed = 1
                    all = all type_text[i] " " type_note[i] " "
                    break
                }
        }
    } while (changed)
    for (i = 1; i <= types; i++)
        if (i in shown)
            list = list i " "
    return list
}

# From where it may be called: what its comments say, else the title of its section.
function from_where(number, file,    all, rule) {
    all = comments_of(number)
    if (all !~ /Anywhere|Goroutine\./ && index(section[page_section[number]], ":")) {
        rule = section[page_section[number]]
        sub(/^[^:]*: */, "", rule)
        sub(/^anywhere *(; *|: *|$)/, "", rule)
    }
    print ".SH CONTEXT" >file
    if (all ~ /Goroutine\./)
        print "From a goroutine only; elsewhere the result is\n.BR WEFT_ESRCH ." >file
    if (all ~ /Anywhere but in a goroutine|Not in a goroutine/)
        print "From threads of the process, not from a goroutine." >file
    else if (all ~ /[Aa]nywhere/ || all !~ /Goroutine\./)
        print "From goroutines and from any thread of the process, also one that\nWeft did not make" \
            (is_always(number) ? "; also before\n.BR weft_init (3)." : ".") >file
    if (rule != "" && rule != "nothing waits")
        print marked("Of this group: " rule ".", number) >file
    if ((all " " rule) !~ /never waits|nothing waits/ && !is_always(number))
        print ".PP\nWhere it waits, a goroutine parks, and a thread blocks; see\n.BR weft\\-blocking (7)." >file
}

# Before weft_init, and after weft_shutdown, too.
function is_always(number) {
    return comments_of(number) ~ /Anywhere, always|Always\./
}

function comments_of(number,    i, all) {
    for (i = 1; i <= comments[number]; i++)
        all = all " " page_comment[number, i]
    gsub(/\n/, " ", all)
    return all
}

# What the comments say of errors, then what holds for all functions.
function errors_of(number, file,    each) {
    if (prototypes[number] !~ /(^|\n)(int|int64_t) weft/ || is_always(number))
        return
    print ".SH ERRORS" >file
    if (errors != "")
        print marked(errors, number) "\n.PP" >file
    if (names[number] !~ /^weft_(init|main)/)
        print ".B WEFT_ESHUTDOWN\nbefore\n.BR weft_init (3)\nand after\n.BR weft_shutdown (3)." >file
    if (prototypes[number] ~ /\*/)
        print ".B WEFT_EINVAL\nfor null where that is not allowed." >file
    for (each in handle)
        if (prototypes[number] ~ (each " [*][a-z]")) {
            print ".B WEFT_EBADF\nfor a handle that was freed, is none, or is of another kind." >file
            break
        }
}

# The other pages of its section.
function see_also(number, file,    i, first, line) {
    print ".SH SEE ALSO" >file
    for (i = 1; i <= pages; i++)
        if (page_section[i] == page_section[number] && i != number) {
            first = names[i]
            sub(/ .*/, "", first)
            print ".BR " first " (3)," >file
        }
    print ".BR weft (3),\n.BR weft\\-goroutines (7),\n.BR weft\\-blocking (7)" >file
}

# A page that is written by hand; it is opened from the folder of this program.
function fill(name,    line, from, file) {
    file = out "/man" substr(name, length(name)) "/" name
    from = FILENAME
    sub(/[^\/]*$/, "man/" name, from)
    while ((getline line <from) > 0) {
        if (line ~ /^\.TH/)
            line = line " \"" date "\" \"weft " version "\""
        if (line == "@FUNCTIONS@")
            list_functions(file)
        else if (line == "@WORDS@")
            head_part("Words used below:", file)
        else if (line == "@ENDS@")
            head_part("Ends of waits.", file)
        else if (line == "@RULES@")
            head_part("What C code must know:", file)
        else
            print line >file
    }
    close(from)
    close(file)
}

function list_functions(file,    i, j, k, title, line, all, count) {
    for (i = 1; i <= sections; i++) {
        title = section[i]
        sub(/:.*/, "", title)
        print ".SS " toupper(substr(title, 1, 1)) substr(title, 2) >file
        for (j = 1; j <= pages; j++)
            if (page_section[j] == i) {
                count = split(names[j], all, " ")
                line = summary(page_comment[j, 1])
                for (k = 2; k <= count; k++)
                    line = line (k == 2 ? ". Also: " : ", ") all[k]
                print ".TP\n.BR " all[1] " (3)\n" marked(line ".", 0) >file
            }
    }
}

# The part of the header's first comment that begins so, up to an empty line: text, items, and words with what they
# mean.
function head_part(begin, file,    all, count, i, line, word, item) {
    count = split(head, all, "\n")
    for (i = 1; i <= count && index(all[i], begin) != 1; i++)
        ;
    if (i > count) {
        print "pages.awk: the header says nothing of: " begin >"/dev/stderr"
        exit 1
    }
    line = substr(all[i], length(begin) + 1)
    for (i++; i <= count && all[i] != ""; i++) {
        if (all[i] ~ /^  - / || all[i] ~ /^  [a-z]+  /) {
            put(line, file)
            if (all[i] ~ /^  - /) {
                print ".IP \\(bu 2" >file
                line = substr(all[i], 5)
            } else {
                word = substr(all[i], 3)
                match(word, /^[a-z]+/)
                print ".TP\n.B " substr(word, 1, RLENGTH) >file
                line = substr(word, RLENGTH + 1)
            }
        } else {
            word = all[i]
            sub(/^ */, "", word)
            line = line " " word
        }
    }
    put(line, file)
}

function put(line, file) {
    sub(/^[ :.]*/, "", line)
    if (line != "")
        print marked(line, 0) >file
}

# Running text: functions and constants in bold; other pages with their section.
function marked(line, number,    done, word, after) {
    done = ""
    line = escape(line)
    while (match(line, /weft_[a-z_0-9]*[a-z0-9]|WEFT_[A-Z0-9_]*[A-Z0-9]/)) {
        word = substr(line, RSTART, RLENGTH)
        after = substr(line, RSTART + RLENGTH)
        done = done substr(line, 1, RSTART - 1) "\\fB" word "\\fR"
        if (word in page && page[word] != number && after !~ /^(\(|\.|_)[^ ]/)
            done = done "(3)"
        line = after
    }
    return wrapped(done line)
}

# In lines of at most 79 bytes, none of which begins as a request would.
function wrapped(text,    all, count, i, line, result) {
    count = split(text, all, " ")
    for (i = 1; i <= count; i++) {
        if (line != "" && length(line) + length(all[i]) > 78) {
            result = result line "\n"
            line = ""
        }
        line = line (line == "" ? "" : " ") (line == "" && all[i] ~ /^[.']/ ? "\\&" : "") all[i]
    }
    return result line
}

function escape(line) {
    gsub(/\\/, "\\e", line)
    return line
}

function raw(text,    all, count, i) {
    count = split(text, all, "\n")
    for (i = 1; i <= count; i++)
        all[i] = escape(all[i])
    return join(all, count, "\n")
}

function join(all, count, between,    i, result) {
    for (i = 1; i <= count; i++)
        result = result (i > 1 ? between : "") all[i]
    return result
}
