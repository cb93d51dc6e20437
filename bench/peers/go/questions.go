// What is asked: of each question what bench/*.cs asks of Weft, by the same name, line by line.
package main

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

func questionsOn(procs int) []question {
	named := func(format string) string { return fmt.Sprintf(format, procs) }
	// loop is a question of a function that does something n times on each of some goroutines: it returns how
	// many times in all.
	loop := func(format string, run func(n int) (operations int)) question {
		n := 0
		return question{named(format), []row{{named(format), "ns"}}, false, func() []float64 {
			runtime.GOMAXPROCS(procs)
			if n == 0 {
				n = lengthOf(run)
			}
			start := time.Now()
			operations := run(n)
			return []float64{since(start) / float64(operations)}
		}}
	}
	other := func(format string, own bool, sample func() []float64, rows ...string) question {
		q := question{named(format), nil, own, func() []float64 {
			runtime.GOMAXPROCS(procs)
			return sample()
		}}
		for i := 0; i < len(rows); i += 2 {
			q.rows = append(q.rows, row{named(rows[i]), rows[i+1]})
		}
		return q
	}
	questions := []question{
		loop("switch_%dp", func(n int) int {
			together(2*procs, func(int) {
				for i := 0; i < n; i++ {
					runtime.Gosched()
				}
			})
			return 2 * procs * n
		}),
		other("spawn_200k_both_%dp", true, func() []float64 { return []float64{spawn(200_000), spawn(200_000)} },
			"spawn_200k_first_%dp", "ns", "spawn_200k_%dp", "ns"),
		loop("chan_unbuf_%dp", func(n int) int { return pingPong(1, n) }),
		loop("chan_unbuf_pairs_%dp", func(n int) int { return pingPong(procs, n) }),
		loop("chan_buf128_1p1c_%dp", func(n int) int { return stream(1, n) }),
		loop("chan_buf128_PpPc_%dp", func(n int) int { return stream(procs, n) }),
		loop("select2_%dp", select2),
		loop("select8_%dp", select8),
		loop("mutex_unc_%dp", func(n int) int { return mutex(1, n) }),
		loop("mutex_cont_P_%dp", func(n int) int { return mutex(procs, n) }),
		loop("rwmutex_%dp", func(n int) int { return readMostly(procs, n) }),
		other("skynet_both_%dp", true, func() []float64 { return []float64{skynet(), skynet()} },
			"skynet_first_%dp", "ms", "skynet_%dp", "ms"),
		other("timers_%dp", false, late, "timers_%dp_p50", "us", "timers_%dp_p99", "us"),
		other("preempt_%dp", false, func() []float64 { return besideHogs(procs) },
			"preempt_%dp_p50", "us", "preempt_%dp_p99", "us", "preempt_%dp_most", "us"),
		other("sleepers_1m_%dp", true, sleepers,
			"sleepers_1m_%dp_p50", "us", "sleepers_1m_%dp_p99", "us", "sleepers_1m_%dp_most", "us"),
		other("timers_1m_%dp", true, timers,
			"timers_1m_%dp_p50", "us", "timers_1m_%dp_p99", "us", "timers_1m_%dp_most", "us"),
		other("net_echo_64_%dp", false, echo, "net_echo_64_%dp", "ns"),
		other("net_echo_%dp", false, func() []float64 { return echoes(16 * procs) },
			"net_echo_%dp", "req/s", "net_echo_%dp_p99", "us"),
		other("net_echo_10k_%dp", true, func() []float64 { return echoes(9_500) },
			"net_echo_10k_%dp", "req/s", "net_echo_10k_%dp_p99", "us"),
		other("alloc_par_%dp", false, func() []float64 { return allocTogether(procs) },
			"alloc_par_%dp", "M/s", "alloc_par_%dp_pausemax", "us", "alloc_par_%dp_hiccup", "us"),
	}
	for _, size := range []struct {
		name  string
		count int
	}{{"10k", 10_000}, {"100k", 100_000}, {"1m", 1_000_000}} {
		name, count := "mem_"+size.name+"_%dp", size.count
		questions = append(questions, other(name, true, func() []float64 { return memory(count) },
			name+"_rss", "B", name+"_create", "ms", name+"_wake", "ms"))
	}
	for _, size := range []struct {
		name  string
		count int
	}{{"0", 0}, {"10k", 10_000}, {"100k", 100_000}, {"1m", 1_000_000}} {
		name, count := "gc_"+size.name+"_%dp", size.count
		questions = append(questions, other(name, true, func() []float64 { return allocBeside(count) },
			name+"_full", "us", name+"_alloc", "M/s", name+"_pausemax", "us", name+"_hiccup", "us"))
	}
	return questions
}

// lengthOf is how many times a loop goes round in about the time that a sample should take.
func lengthOf(run func(n int) int) int {
	for n := 64; ; n *= 2 {
		start := time.Now()
		run(n)
		if time := since(start); time > sampleTakes/4 {
			return int(float64(n)*sampleTakes/time) + 1
		}
	}
}

// together runs a function in so many goroutines and waits; wall-clock nanoseconds.
func together(count int, function func(number int)) float64 {
	var done sync.WaitGroup
	done.Add(count)
	start := time.Now()
	for i := 0; i < count; i++ {
		i := i
		go func() {
			function(i)
			done.Done()
		}()
	}
	done.Wait()
	return since(start)
}

func spawn(count int) float64 {
	var done sync.WaitGroup
	done.Add(count)
	start := time.Now()
	for i := 0; i < count; i++ {
		go done.Done()
	}
	done.Wait()
	return since(start) / float64(count)
}

func pingPong(pairs, n int) int {
	ping, pong := make([]chan int, pairs), make([]chan int, pairs)
	for i := range ping {
		ping[i], pong[i] = make(chan int), make(chan int)
	}
	var answered int64
	together(2*pairs, func(number int) {
		to, from := ping[number/2], pong[number/2]
		if number%2 == 1 {
			for i := 0; i < n; i++ {
				from <- <-to + 1
			}
			return
		}
		last := 0
		for i := 0; i < n; i++ {
			to <- last
			last = <-from
		}
		atomic.AddInt64(&answered, int64(last))
	})
	check(answered == int64(n*pairs), "messages lost")
	return 2 * n * pairs
}

func stream(pairs, n int) int {
	channel := make(chan int, 128)
	var received int64
	together(2*pairs, func(number int) {
		if number%2 == 0 {
			for i := 0; i < n; i++ {
				channel <- 1
			}
			return
		}
		sum := 0
		for i := 0; i < n; i++ {
			sum += <-channel
		}
		atomic.AddInt64(&received, int64(sum))
	})
	check(received == int64(n*pairs), "messages lost")
	return n * pairs
}

func select2(n int) int {
	a, b := make(chan int), make(chan int)
	sum := 0
	together(2, func(number int) {
		for i := 0; i < n; i++ {
			switch {
			case number == 0 && i%2 == 0:
				a <- 1
			case number == 0:
				b <- 1
			default:
				select {
				case x := <-a:
					sum += x
				case x := <-b:
					sum += x
				}
			}
		}
	})
	check(sum == n, "messages lost")
	return n
}

func select8(n int) int {
	var c [8]chan int
	for i := range c {
		c[i] = make(chan int)
	}
	sum := 0
	together(2, func(number int) {
		if number == 0 {
			for i := 0; i < n; i++ {
				c[i%8] <- 1
			}
			return
		}
		for i := 0; i < n; i++ {
			select {
			case x := <-c[0]:
				sum += x
			case x := <-c[1]:
				sum += x
			case x := <-c[2]:
				sum += x
			case x := <-c[3]:
				sum += x
			case x := <-c[4]:
				sum += x
			case x := <-c[5]:
				sum += x
			case x := <-c[6]:
				sum += x
			case x := <-c[7]:
				sum += x
			}
		}
	})
	check(sum == n, "messages lost")
	return n
}

func mutex(goroutines, n int) int {
	var lock sync.Mutex
	count := 0
	together(goroutines, func(int) {
		for i := 0; i < n; i++ {
			lock.Lock()
			count++
			lock.Unlock()
		}
	})
	check(count == n*goroutines, "the mutex did not exclude")
	return count
}

var sink int64

func readMostly(goroutines, n int) int {
	var lock sync.RWMutex
	value := 0
	together(goroutines, func(int) {
		seen := 0
		for i := 1; i <= n; i++ {
			if i%1024 == 0 {
				lock.Lock()
				value++
				lock.Unlock()
			} else {
				lock.RLock()
				seen += value
				lock.RUnlock()
			}
		}
		atomic.StoreInt64(&sink, int64(seen))
	})
	check(value == n/1024*goroutines, "the mutex did not exclude")
	return n * goroutines
}

const leaves = 1_000_000

func node(parent chan int, first, count int) {
	if count == 1 {
		parent <- first
		return
	}
	children, sum := make(chan int), 0
	for i := 0; i < 10; i++ {
		go node(children, first+i*(count/10), count/10)
	}
	for i := 0; i < 10; i++ {
		sum += <-children
	}
	parent <- sum
}

func skynet() float64 {
	start := time.Now()
	result := make(chan int)
	go node(result, 0, leaves)
	check(<-result == leaves*(leaves-1)/2, "the sum is wrong")
	return since(start) / 1e6
}

type parked struct {
	gate    chan int
	done    sync.WaitGroup
	arrived int64
}

func park(count int) *parked {
	crowd := &parked{gate: make(chan int)}
	crowd.done.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			atomic.AddInt64(&crowd.arrived, 1)
			<-crowd.gate
			crowd.done.Done()
		}()
	}
	for atomic.LoadInt64(&crowd.arrived) < int64(count) {
		runtime.Gosched()
	}
	return crowd
}

func (crowd *parked) wake() float64 {
	start := time.Now()
	close(crowd.gate)
	crowd.done.Wait()
	return since(start)
}

func memory(count int) []float64 {
	park(100).wake()
	before := resident()
	start := time.Now()
	crowd := park(count)
	create := since(start)
	bytes := float64(resident()-before) / float64(count)
	return []float64{bytes, create / 1e6, crowd.wake() / 1e6}
}

type thing struct{ first, second, third, fourth int64 } // 32 bytes, as an object of .NET's with two words.

var kept *thing

// pauses are counts, by length in seconds: the collector's own account.
func pauses() *metrics.Float64Histogram {
	for _, name := range []string{"/sched/pauses/total/gc:seconds", "/gc/pauses:seconds"} {
		sample := []metrics.Sample{{Name: name}}
		if metrics.Read(sample); sample[0].Value.Kind() == metrics.KindFloat64Histogram {
			return sample[0].Value.Float64Histogram()
		}
	}
	return &metrics.Float64Histogram{}
}

// longestSince is the lower end of the highest bucket that has grown, in us.
func longestSince(before []uint64) (longest float64) {
	now := pauses()
	for i, count := range now.Counts {
		if count > before[i] && i > 0 {
			longest = now.Buckets[i] * 1e6
		}
	}
	return longest
}

// allocate returns objects a second, in millions, and the longest time between two batches, in us.
func allocate(lasts time.Duration) (rate, gap float64) {
	var ring [1024]*thing
	made := 0
	start := time.Now()
	last := start
	for last.Sub(start) < lasts {
		for i := 0; i < 200; i++ {
			ring[made%len(ring)] = &thing{first: int64(made)}
			made++
		}
		now := time.Now()
		if us := float64(now.Sub(last).Nanoseconds()) / 1000; us > gap {
			gap = us
		}
		last = now
	}
	kept = ring[5]
	return float64(made) / time.Since(start).Seconds() / 1e6, gap
}

func allocTogether(procs int) []float64 {
	rates, gaps := make([]float64, procs), make([]float64, procs)
	before := append([]uint64(nil), pauses().Counts...)
	together(procs, func(number int) { rates[number], gaps[number] = allocate(300 * time.Millisecond) })
	rate, gap := 0.0, 0.0
	for i := range rates {
		rate += rates[i]
		if gaps[i] > gap {
			gap = gaps[i]
		}
	}
	return []float64{rate, longestSince(before), gap}
}

func allocBeside(count int) []float64 {
	crowd := park(count)
	runtime.GC()
	start := time.Now()
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	full := since(start) / 3 / 1000
	before := append([]uint64(nil), pauses().Counts...)
	rate, gap := allocate(time.Second)
	longest := longestSince(before)
	crowd.wake()
	return []float64{full, rate, longest, gap}
}
