// A million goroutines asleep, each until a random moment of one second: how late they wake. The peer of the
// benchmark sleepers_1m_2p (bench/SleeperBench.cs).
//
//	go run bench/peers/go/sleepers.go
package main

import (
	"fmt"
	"math/rand"
	"runtime"
	"sort"
	"sync"
	"time"
)

const (
	sleepers = 1000000
	first    = 30 * time.Second // Longer than it takes to start them all.
)

func main() {
	runtime.GOMAXPROCS(2)
	late := make([]float64, sleepers)
	var done sync.WaitGroup
	done.Add(sleepers)
	start := time.Now()
	for i := range late {
		i, due := i, first+time.Duration(1000+rand.Intn(999000))*time.Microsecond
		go func() {
			time.Sleep(due - time.Since(start))
			late[i] = float64((time.Since(start) - due).Nanoseconds()) / 1e6
			done.Done()
		}()
	}
	started := time.Since(start)
	if started > first {
		panic("some were due before all had started")
	}
	done.Wait()
	sort.Float64s(late)
	fmt.Printf("started in %.1f s; late by p50 %.3f, p99 %.3f, at most %.3f ms\n", started.Seconds(),
		late[sleepers/2], late[sleepers*99/100], late[sleepers-1])
}
