package objecttest

import (
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Network is a bad network before a server: it carries so many bytes a second, and cuts connections.
type Network struct {
	// Cut is after about how many bytes connections that are made from then on are cut; 0 is never. Cuts is how often it was.
	Cut, Cuts atomic.Int64

	target string
	rate   int
}

// NewNetwork lies before the server of a URL and is reached at another, for as long as the test runs. It carries that many bytes a second of each
// connection; 0 is all.
func NewNetwork(t testing.TB, server string, rate int) (n *Network, at string) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n = &Network{target: u.Host, rate: rate}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go n.carry(c)
		}
	}()
	u.Host = l.Addr().String()
	return n, u.String()
}

// carry carries the bytes of a connection in both directions.
func (n *Network) carry(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", n.target)
	if err != nil {
		return
	}
	defer s.Close()
	left := int64(1) << 60
	if most := n.Cut.Load(); most > 0 {
		left = rand.Int64N(2 * most)
	}
	var both atomic.Int64
	var wait sync.WaitGroup
	for _, p := range [][2]net.Conn{{c, s}, {s, c}} {
		wait.Go(func() {
			defer p[1].(*net.TCPConn).CloseWrite()
			buf := make([]byte, 8<<10)
			for {
				k, err := p[0].Read(buf)
				if both.Add(int64(k)) > left {
					n.Cuts.Add(1)
					_ = c.Close()
					_ = s.Close()
					return
				}
				if n.rate > 0 {
					time.Sleep(time.Duration(k) * time.Second / time.Duration(n.rate))
				}
				if _, e := p[1].Write(buf[:k]); e != nil || err != nil {
					return
				}
			}
		})
	}
	wait.Wait()
}
