package cli

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	client "github.com/go-sql-driver/mysql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/server/owner"
)

// TestLocalFiles finds the client's files that statements name.
func TestLocalFiles(t *testing.T) {
	for text, want := range map[string][]string{
		"select 1": nil,
		"load data local infile 'a.csv' into table t":                       {"a.csv"},
		"LOAD DATA\nLOCAL\tINFILE \"/a b/c\" INTO TABLE t":                  {"/a b/c"},
		`load data local infile 'it''s \'a\'.csv' into table t`:             {"it's 'a'.csv"},
		`load data local infile 'a\\b' into table t lines terminated by ''`: {`a\b`},
		"load data infile 'server.csv' into table t":                        nil,
		"select 'local infile', 'x'":                                        nil,
	} {
		if got := localFiles(text); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestServerAsksForFile lets a server ask for a file with every statement: it gets the one that the statement names, and no other.
func TestServerAsksForFile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("of the user's own"), 0o600); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"select 1": "", "load data local infile '" + secret + ".csv' into table t": "",
		"load data local infile '" + secret + "' into table t": "of the user's own",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		got, failed := make(chan string, 1), make(chan error, 1)
		go func() {
			text, err := askForFile(l, secret)
			got <- text
			failed <- err
		}()
		c, err := connectServer(t.Context(), globals{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}, func(string) string { return "" }, "")
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.query(t.Context(), query)
		if err == nil {
			err = a.close()
		}
		if (err == nil) != (want != "") {
			t.Errorf("%s: %v", query, err)
		}
		if text := <-got; text != want {
			t.Errorf("%s: the server got %q, want %q", query, text, want)
		}
		if err := <-failed; err != nil {
			t.Error(err)
		}
		c.close()
		l.Close()
	}
}

// askForFile is a server that lets one client in and answers its first statement by asking for a file, of which it gives the content.
func askForFile(l net.Listener, name string) (string, error) {
	conn, err := l.Accept()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	read := func() ([]byte, error) {
		head := make([]byte, 4)
		if _, err := io.ReadFull(conn, head); err != nil {
			return nil, err
		}
		body := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
		_, err := io.ReadFull(conn, body)
		return body, err
	}
	write := func(seq byte, body ...byte) error {
		_, err := conn.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))|uint32(seq)<<24), body...))
		return err
	}
	done := []byte{0, 0, 0, 2, 0, 0, 0}
	if err := write(0, hello()...); err != nil {
		return "", err
	}
	if _, err := read(); err != nil {
		return "", err
	}
	if err := write(2, done...); err != nil {
		return "", err
	}
	if _, err := read(); err != nil { // the statement
		return "", err
	}
	if err := write(1, append([]byte{0xfb}, name...)...); err != nil {
		return "", err
	}
	var text []byte
	for seq := byte(3); ; seq++ {
		b, err := read()
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if len(b) == 0 {
			return string(text), write(seq, done...)
		}
		text = append(text, b...)
	}
}

// hello is the body of the first packet of a server: protocol 41, secure connections, plugins of authentication, LOAD DATA LOCAL.
func hello() []byte {
	const abilities = 1<<9 | 1<<15 | 1<<19 | 1<<7
	b := append([]byte("\x0a8.0.0\x00\x01\x00\x00\x00saltsalt\x00"), abilities&0xff, abilities>>8&0xff, 45, 2, 0, abilities>>16, 0, 21)
	b = append(b, make([]byte, 10)...)
	return append(b, "saltsaltsalt\x00mysql_native_password\x00"...)
}

// TestOwnerEndsWhileConnecting: an owner that ends before there is a session is none, wherever in the handshake it does; what keeps from
// reaching it is told.
func TestOwnerEndsWhileConnecting(t *testing.T) {
	packet := append(binary.LittleEndian.AppendUint32(nil, uint32(len(hello()))), hello()...)
	for n := range len(packet) + 1 {
		for _, reads := range []bool{false, n == len(packet)} { // after the answer has begun, or before
			dial := func(context.Context) (net.Conn, error) {
				here, there := net.Pipe()
				go func() {
					there.Write(packet[:n])
					if reads {
						there.Read(make([]byte, 1))
					}
					there.Close()
				}()
				return here, nil
			}
			if _, err := connectOwner(t.Context(), dial, op.Author{Name: "Ada"}, "db"); !errors.Is(err, owner.ErrNoOwner) {
				t.Errorf("it ends after %d bytes: %v", n, err)
			}
		}
	}
	denied := func(context.Context) (net.Conn, error) { return nil, os.ErrPermission }
	if _, err := connectOwner(t.Context(), denied, op.Author{}, "db"); err == nil || errs.CodeOf(err) != errs.Unavailable || !strings.Contains(err.Error(), "permission") {
		t.Errorf("a socket that is not ours: %v", err)
	}
}

// TestLostConnection: what a lost connection means for the statement is said.
func TestLostConnection(t *testing.T) {
	for err, want := range map[error]string{
		driver.ErrBadConn:     "was not begun",
		client.ErrInvalidConn: "whether it was done is not known",
		io.ErrUnexpectedEOF:   "unexpected EOF",
	} {
		if got := sqlMessage(err); !strings.Contains(got, want) || strings.Contains(got, "driver:") {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
