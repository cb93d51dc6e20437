// Questions of waiting: for time, beside loops that compute, and for the network.
package main

import (
	"io"
	"math/rand"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// resident is what the kernel counts for this process, in bytes.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	must(err)
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	must(err)
	return pages * int64(os.Getpagesize())
}

func late() []float64 {
	const count = 100_000
	late := make([]float64, count)
	together(count, func(number int) {
		start := time.Now()
		nap := time.Duration(1+number*7%50) * time.Millisecond
		time.Sleep(nap)
		late[number] = float64((time.Since(start) - nap).Nanoseconds()) / 1000
	})
	sort.Float64s(late)
	return []float64{percentile(late, 0.5), percentile(late, 0.99)}
}

func besideHogs(hogs int) []float64 {
	var stop int32
	var late []float64
	together(hogs+1, func(number int) {
		for number < hogs {
			if atomic.LoadInt32(&stop) != 0 {
				return
			}
		}
		for start := time.Now(); time.Since(start) < 400*time.Millisecond; {
			asleep := time.Now()
			time.Sleep(time.Millisecond)
			late = append(late, float64((time.Since(asleep)-time.Millisecond).Nanoseconds())/1000)
		}
		atomic.StoreInt32(&stop, 1)
	})
	sort.Float64s(late)
	return []float64{percentile(late, 0.5), percentile(late, 0.99), late[len(late)-1]}
}

const (
	million = 1_000_000
	first   = 10 * time.Second // Longer than it takes to start them all.
)

func lateMillion(begin func(until func() time.Duration, wake func())) []float64 {
	late := make([]float64, million)
	var done sync.WaitGroup
	done.Add(million)
	start := time.Now()
	for i := range late {
		i, due := i, first+time.Duration(1000+rand.Intn(999_000))*time.Microsecond
		begin(func() time.Duration { return due - time.Since(start) }, func() {
			late[i] = float64((time.Since(start) - due).Nanoseconds()) / 1000
			done.Done()
		})
	}
	check(time.Since(start) < first, "some were due before all had started")
	done.Wait()
	sort.Float64s(late)
	return []float64{percentile(late, 0.5), percentile(late, 0.99), late[million-1]}
}

func sleepers() []float64 {
	return lateMillion(func(until func() time.Duration, wake func()) {
		go func() {
			time.Sleep(until())
			wake()
		}()
	})
}

func timers() []float64 {
	return lateMillion(func(until func() time.Duration, wake func()) { time.AfterFunc(until(), wake) })
}

const length = 64

func serve(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, length)
	for {
		n, err := conn.Read(buffer)
		if err == io.EOF {
			return
		}
		must(err)
		_, err = conn.Write(buffer[:n])
		must(err)
	}
}

func askOnce(conn net.Conn, buffer []byte) {
	_, err := conn.Write(buffer)
	must(err)
	_, err = io.ReadFull(conn, buffer)
	must(err)
}

// connect makes clients that have each been answered once.
func connect(count int) []net.Conn {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer listener.Close()
	clients := make([]net.Conn, count)
	for i := range clients {
		clients[i], err = net.Dial("tcp", listener.Addr().String())
		must(err)
		server, err := listener.Accept()
		must(err)
		go serve(server)
		askOnce(clients[i], make([]byte, length))
	}
	return clients
}

func echo() []float64 {
	const times = 10_000
	client := connect(1)[0]
	defer client.Close()
	buffer := make([]byte, length)
	start := time.Now()
	for i := 0; i < times; i++ {
		askOnce(client, buffer)
	}
	return []float64{since(start) / times}
}

func echoes(connections int) []float64 {
	clients := connect(connections)
	times := make([][]float64, connections)
	begin := time.Now()
	took := together(connections, func(number int) {
		buffer := make([]byte, length)
		for time.Since(begin) < 400*time.Millisecond {
			start := time.Now()
			askOnce(clients[number], buffer)
			times[number] = append(times[number], since(start)/1000)
		}
	})
	var all []float64
	for i, each := range times {
		clients[i].Close()
		all = append(all, each...)
	}
	sort.Float64s(all)
	return []float64{float64(len(all)) / took * 1e9, percentile(all, 0.99)}
}
