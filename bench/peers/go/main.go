// The questions of weft-bench, asked of Go: the same names, arguments and lines (bench/Answers.cs, Measure.cs).
// Each loop is as long as takes a tenth of a second: what costs Weft 5 ns may cost Go a microsecond.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"time"
)

const (
	samplesHere        = 9
	samplesInProcesses = 5
	sampleTakes        = 1e8 // ns
)

type row struct{ name, unit string }

// sample answers the question once, with one value for each row.
type question struct {
	name       string
	rows       []row
	ownProcess bool
	sample     func() []float64
}

func check(condition bool, what string) {
	if !condition {
		panic(what)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func since(start time.Time) float64 { return float64(time.Since(start).Nanoseconds()) }

func percentile(sorted []float64, part float64) float64 {
	return sorted[int(float64(len(sorted))*part)]
}

// processors are 1, 2, 4, 8 and so on, and all that there are; 1 and 2 on every machine.
func processors() (counts []int) {
	most := runtime.NumCPU()
	if most < 2 {
		most = 2
	}
	for count := 1; count < most; count *= 2 {
		counts = append(counts, count)
	}
	return append(counts, most)
}

// samples are those of one question; the first of a process is thrown away.
func (q *question) samples() (all [][]float64) {
	if !q.ownProcess {
		q.sample()
		for len(all) < samplesHere {
			all = append(all, q.sample())
		}
	}
	for q.ownProcess && len(all) < samplesInProcesses {
		self, err := os.Executable()
		must(err)
		output, err := exec.Command(self, "--sample", q.name).Output()
		must(err)
		var values []float64
		for _, line := range strings.Fields(string(output)) {
			value, err := strconv.ParseFloat(line, 64)
			must(err)
			values = append(values, value)
		}
		all = append(all, values)
	}
	return all
}

// number has three digits at least, and no exponent.
func number(value float64) string {
	digits := 0
	if value < 10 {
		digits = 2
	} else if value < 100 {
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64)
}

// answer prints the rows that are named, or all of them if the question is.
func (q *question) answer(names map[string]bool, printSamples bool) {
	all := q.samples()
	for column, row := range q.rows {
		if !names[q.name] && !names[row.name] {
			continue
		}
		var values []float64
		fields := []string{}
		for _, sample := range all {
			values = append(values, sample[column])
			if printSamples {
				fields = append(fields, strconv.FormatFloat(sample[column], 'f', -1, 64))
			}
		}
		sort.Float64s(values)
		count := len(values)
		head := []string{row.name, number(values[count/2]), row.unit, number(values[0]), number(values[count-1])}
		fmt.Println(strings.Join(append(head, fields...), "\t"))
	}
}

func (q *question) covers(name string) bool {
	for _, row := range q.rows {
		if row.name == name {
			return true
		}
	}
	return q.name == name
}

func find(questions []question, name string) *question {
	for i := range questions {
		if questions[i].covers(name) {
			return &questions[i]
		}
	}
	fmt.Fprintf(os.Stderr, "weft-bench-go: no row is named '%s'; weft-bench-go list prints the names\n", name)
	os.Exit(2)
	return nil
}

func main() {
	debug.SetMaxThreads(100_000)
	var questions []question
	for _, count := range processors() {
		questions = append(questions, questionsOn(count)...)
	}
	args := os.Args[1:]
	switch {
	case len(args) == 1 && args[0] == "version":
		fmt.Println("Go", strings.TrimPrefix(runtime.Version(), "go"))
	case len(args) == 1 && args[0] == "list":
		for _, q := range questions {
			for _, row := range q.rows {
				fmt.Printf("%-25s %-2s  %s\n", row.name, row.unit, "as weft-bench's")
			}
		}
	case len(args) == 2 && args[0] == "--sample":
		for _, value := range find(questions, args[1]).sample() {
			fmt.Println(value)
		}
	default:
		printSamples := len(args) > 0 && args[0] == "--samples"
		if printSamples {
			args = args[1:]
		}
		names, asked := map[string]bool{}, map[*question]bool{}
		for _, name := range args {
			names[name] = true
		}
		for _, name := range args { // Two rows of one question are one run.
			if q := find(questions, name); !asked[q] {
				asked[q] = true
				q.answer(names, printSamples)
			}
		}
	}
}
