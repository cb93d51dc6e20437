// The answer of weave http without a directory, by net/http. It says how long it is, as the others do.
//
//	go-hello HOST:PORT
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
)

func main() {
	body := []byte("Hello, World!")
	length := strconv.Itoa(len(body))
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Content-Length", length)
		_, _ = w.Write(body)
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Args[1], nil))
	os.Exit(1)
}
