// The program inside the lab's own pods: it serves, it connects, it asks for names, it waits. Its answers are one line each.
//
// Static, and with Go's own resolver: a static busybox crashes when it resolves a name through the C library.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: pod pause | serve PORT... | connect HOST:PORT SECONDS | watch HOST:PORT SECONDS | resolve NAME SECONDS
  serve    answers each TCP connection with the pod's name; connect prints that answer, or why there is no connection (exit code 1)
  watch    connects every 100 ms, for ever, and prints a line with the time whenever the outcome changes`

func main() {
	if len(os.Args) < 2 {
		fail(2, usage)
	}
	arguments := os.Args[2:]
	switch {
	case os.Args[1] == "pause":
		pause()
	case os.Args[1] == "serve" && len(arguments) > 0:
		serve(arguments)
	case os.Args[1] == "connect" && len(arguments) == 2:
		said, err := connect(arguments[0], seconds(arguments[1]))
		if err != nil {
			fail(1, err.Error())
		}
		fmt.Println(said)
	case os.Args[1] == "watch" && len(arguments) == 2:
		watch(arguments[0], seconds(arguments[1]))
	case os.Args[1] == "resolve" && len(arguments) == 2:
		ctx, cancel := context.WithTimeout(context.Background(), seconds(arguments[1]))
		defer cancel()
		found, err := net.DefaultResolver.LookupHost(ctx, arguments[0])
		if err != nil {
			fail(1, err.Error())
		}
		fmt.Println(strings.Join(found, " "))
	default:
		fail(2, usage)
	}
}

// pause waits to be ended. As process 1 of a pod it also has to collect the dead, which Go does not do unasked.
func pause() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	for {
		select {
		case <-ended:
			return
		case <-died:
			for {
				if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
					break
				}
			}
		}
	}
}

func serve(ports []string) {
	name, err := os.Hostname()
	if err != nil {
		fail(1, err.Error())
	}
	for _, port := range ports {
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			fail(1, err.Error())
		}
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					fail(1, err.Error())
				}
				fmt.Printf("%s from %s\n", connection.LocalAddr(), connection.RemoteAddr())
				fmt.Fprintln(connection, name)
				connection.Close()
			}
		}()
	}
	pause()
}

// connect makes a new connection and returns the line that the other end says; a server that waits for us to speak first
// says nothing, which is no failure.
func connect(address string, limit time.Duration) (string, error) {
	connection, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	said, err := io.ReadAll(connection)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return strings.TrimSpace(string(said)), err
}

func watch(address string, limit time.Duration) {
	before := ""
	for {
		started := time.Now()
		outcome := "open"
		if _, err := connect(address, limit); err != nil {
			outcome = "closed"
		}
		if outcome != before {
			fmt.Printf("%s %s\n", started.UTC().Format("2006-01-02T15:04:05.000000Z"), outcome)
			before = outcome
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func seconds(text string) time.Duration {
	parsed, err := time.ParseDuration(text + "s")
	if err != nil {
		fail(2, err.Error())
	}
	return parsed
}

func fail(code int, said string) {
	fmt.Fprintln(os.Stderr, said)
	os.Exit(code)
}
