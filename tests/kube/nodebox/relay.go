package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// How long the other side of a relayed connection may take to accept.
const dialPatience = 10 * time.Second

func listen(address string) (net.Listener, error) {
	network, name, found := strings.Cut(address, ":")
	if !found || (network != "unix" && network != "tcp") {
		return nil, fmt.Errorf("%s is neither unix:PATH nor tcp:ADDRESS", address)
	}
	if network == "unix" {
		// What a killed node left.
		_ = os.Remove(name)
	}
	return net.Listen(network, name)
}

// relay copies connections for ever.
func relay(from, to string) error {
	network, name, found := strings.Cut(to, ":")
	if !found {
		return fmt.Errorf("%s is neither unix:PATH nor tcp:ADDRESS", to)
	}
	listener, err := listen(from)
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			other, err := net.DialTimeout(network, name, dialPatience)
			if err != nil {
				connection.Close()
				return
			}
			exchange(connection, connection, other)
		}()
	}
}

// connect begins to serve HTTP CONNECT on a socket: whoever may open it reaches
// what the node reaches, which is the node and its pods.
func connect(path string) error {
	listener, err := listen("unix:" + path)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go tunnel(connection)
		}
	}()
	return nil
}

func tunnel(connection net.Conn) {
	reader := bufio.NewReader(connection)
	request, err := http.ReadRequest(reader)
	if err != nil || request.Method != http.MethodConnect {
		fmt.Fprint(connection, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
		connection.Close()
		return
	}
	other, err := net.DialTimeout("tcp", request.Host, dialPatience)
	if err != nil {
		text := err.Error()
		fmt.Fprintf(connection, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
		connection.Close()
		return
	}
	fmt.Fprint(connection, "HTTP/1.1 200 OK\r\n\r\n")
	exchange(connection, reader, other)
}

type closeWriter interface{ CloseWrite() error }

// exchange copies both ways until both sides have said all.
func exchange(one net.Conn, reader io.Reader, other net.Conn) {
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(other, reader)
		if half, ok := other.(closeWriter); ok {
			_ = half.CloseWrite()
		}
		close(done)
	}()
	_, _ = io.Copy(one, other)
	if half, ok := one.(closeWriter); ok {
		_ = half.CloseWrite()
	}
	<-done
	one.Close()
	other.Close()
}
