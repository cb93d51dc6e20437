// The peer of net_echo_64 (bench/NetBench.cs): 64 bytes there and back over loopback TCP between two
// goroutines of one process. Prints the same names, medians of five runs.
package main

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sort"
	"time"
)

const (
	roundTrips = 100_000
	length     = 64
	runs       = 5
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func echo() float64 {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer listener.Close()
	ended := make(chan bool)
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		check(err)
		defer conn.Close()
		buffer := make([]byte, length)
		for {
			n, err := conn.Read(buffer)
			if err == io.EOF {
				return
			}
			check(err)
			_, err = conn.Write(buffer[:n])
			check(err)
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	buffer := make([]byte, length)
	start := time.Now()
	for i := 0; i < roundTrips; i++ {
		_, err = conn.Write(buffer)
		check(err)
		_, err = io.ReadFull(conn, buffer)
		check(err)
	}
	each := float64(time.Since(start).Nanoseconds()) / roundTrips
	conn.Close()
	<-ended
	return each
}

func main() {
	for procs := 1; procs <= 2; procs++ {
		runtime.GOMAXPROCS(procs)
		var times []float64
		for i := 0; i < runs; i++ {
			times = append(times, echo())
		}
		sort.Float64s(times)
		fmt.Printf("go_net_echo_64_%dp\t%.0f\tns\n", procs, times[runs/2])
	}
}
