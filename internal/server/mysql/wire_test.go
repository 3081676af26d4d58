package mysql

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	vitess "github.com/dolthub/vitess/go/mysql"
	driver "github.com/go-sql-driver/mysql"
	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/vfs"
)

// packetOf is a packet of the protocol.
func packetOf(number uint8, body string) []byte {
	n := len(body)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), number}, body...)
}

// stream is a connection that gives what it holds, and takes everything.
type stream struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (s *stream) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *stream) Write(p []byte) (int, error) { return s.out.Write(p) }

func newTestWire(in io.Reader) (*wire, *stream) {
	s := &stream{in: in}
	return newWire(s), s
}

func readAll(t *testing.T, w *wire) string {
	t.Helper()
	out, err := io.ReadAll(w)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestWirePassesOn(t *testing.T) {
	in := bytes.Join([][]byte{
		packetOf(0, "\x03select 1"), packetOf(1, "\x11no command"), packetOf(0, ""), packetOf(0, "\x03"), packetOf(0, "\x03"+string(make([]byte, 50_000))),
		packetOf(0, "\x11"+string(make([]byte, wireBuffer))),
	}, nil)
	for name, r := range map[string]io.Reader{"at once": bytes.NewReader(in), "by bytes": iotest.OneByteReader(bytes.NewReader(in))} {
		w, _ := newTestWire(r)
		if got := readAll(t, w); got != string(in) {
			t.Errorf("%s: %d bytes have become %d others", name, len(in), len(got))
		}
	}
}

func TestWireChangesUser(t *testing.T) {
	in := append(packetOf(0, "\x03select 1"), packetOf(0, "\x11ana\x00rest")...)
	in = append(in, packetOf(0, "\x01")...)
	want := string(packetOf(0, "\x03select 1")) + string(packetOf(0, "\x02"+changeMark+"ana\x00rest")) + string(packetOf(0, "\x01"))
	for name, r := range map[string]io.Reader{"at once": bytes.NewReader(in), "by bytes": iotest.OneByteReader(bytes.NewReader(in))} {
		w, _ := newTestWire(r)
		if got := readAll(t, w); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestWireFiles has a client send a file of more than 256 packets, in which numbers begin again.
func TestWireFiles(t *testing.T) {
	var in []byte
	for i := range 600 {
		in = append(in, packetOf(uint8(i+2), "\x11file")...)
	}
	number := uint8(602 % 256)
	in = append(in, packetOf(number, "")...)
	w, _ := newTestWire(bytes.NewReader(append(in, packetOf(0, "\x11ana\x00")...)))
	got := make([]byte, len(in))
	if _, err := io.ReadFull(w, got); err != nil || !bytes.Equal(got, in) {
		t.Fatalf("the file is another (%v)", err)
	}
	if _, err := w.Write(packetOf(number+1, "ok")); err != nil {
		t.Fatal(err)
	}
	if got, want := readAll(t, w), string(packetOf(0, "\x02"+changeMark+"ana\x00")); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestWireNumbers(t *testing.T) {
	w, s := newTestWire(bytes.NewReader(append(packetOf(2, "answer"), packetOf(0, "\x03select 1")...)))
	if err := w.interpose([]byte("challenge")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 10)
	if _, err := io.ReadFull(w, got); err != nil || string(got) != string(packetOf(1, "answer")) {
		t.Fatalf("read %q (%v)", got, err)
	}
	w.end(false)
	ok := packetOf(2, "ok")
	for _, p := range [][]byte{ok[:2], ok[2:4], ok[4:]} {
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(packetOf(1, "next")); err != nil {
		t.Fatal(err)
	}
	want := bytes.Join([][]byte{packetOf(1, "challenge"), packetOf(3, "ok"), packetOf(1, "next")}, nil)
	if s.out.String() != string(want) {
		t.Fatalf("wrote %q, want %q", s.out.String(), want)
	}
}

func TestWireHangsUp(t *testing.T) {
	w, _ := newTestWire(bytes.NewReader(packetOf(0, "\x03select 1")))
	w.end(true)
	if got := readAll(t, w); got != "" {
		t.Fatalf("read %q", got)
	}
}

// TestWireAny reads packets of any kind in pieces of any size.
func TestWireAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in, want []byte
		for range rapid.IntRange(0, 20).Draw(t, "packets") {
			number := rapid.SampledFrom([]uint8{0, 0, 1, 7}).Draw(t, "number")
			body := rapid.SampledFrom([]string{"", "\x03", "\x11", "\x11x\x00", "\x02db"}).Draw(t, "body")
			if body != "" {
				body += string(make([]byte, rapid.SampledFrom([]int{0, 3, wireBuffer - 6, wireBuffer, 3 * wireBuffer}).Draw(t, "length")))
			}
			in = append(in, packetOf(number, body)...)
			if number == 0 && len(body) > 0 && body[0] == comChangeUser && len(body)+4 <= wireBuffer {
				body = "\x02" + changeMark + body[1:]
			}
			want = append(want, packetOf(number, body)...)
		}
		w := newWire(&stream{in: &pieces{t, bytes.NewReader(in)}})
		got, err := io.ReadAll(&pieces{t, w})
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes (%v), want %d", len(got), err, len(want))
		}
	})
}

// pieces reads r in pieces.
type pieces struct {
	t *rapid.T
	r io.Reader
}

func (p *pieces) Read(b []byte) (int, error) {
	n := rapid.SampledFrom([]int{1, 2, 3, 5, 100, 5000, 100_000}).Draw(p.t, "piece")
	return p.r.Read(b[:min(n, len(b))])
}

func TestParseChange(t *testing.T) {
	for _, x := range []struct {
		in   string
		want changeRequest
		ok   bool
	}{
		{"ana\x00\x02xxdb\x00\x08\x00mysql_native_password\x00attributes", changeRequest{"ana", "db", "mysql_native_password", 8}, true},
		{"ana\x00\x00db\x00", changeRequest{user: "ana", database: "db"}, true},
		{"\x00\x00\x00", changeRequest{}, true},
		{"ana", changeRequest{}, false},
		{"ana\x00", changeRequest{}, false},
		{"ana\x00\xff", changeRequest{}, false},
		{"ana\x00\x01", changeRequest{}, false},
		{"ana\x00\x00db", changeRequest{}, false},
		{"ana\x00\x00db\x00\x08\x00mysql", changeRequest{}, false},
		{"", changeRequest{}, false},
	} {
		if got, ok := parseChange([]byte(x.in)); ok != x.ok || ok && got != x.want {
			t.Errorf("%q: got %+v, %v", x.in, got, ok)
		}
	}
}

func TestHexBinaries(t *testing.T) {
	for _, x := range []struct{ in, want string }{
		{"select _binary'a'", "select _binary'a'"},
		{"select _binary'\xe9'", "select x'e9'"},
		{"select _BINARY \"\xe9\"\"\\n\\q\\\\\", 1", "select x'e9220a715c', 1"},
		{"select a_binary'\xe9', '_binary\\'\xe9', `_binary'\xe9`", "select a_binary'\xe9', '_binary\\'\xe9', `_binary'\xe9`"},
		{"select _binary'\xe9', _binary '\xff\\0'", "select x'e9', x'ff00'"},
		{"_binary'\xe9", "x'e9'"},
		{"_binary", "_binary"},
		{"_binary ", "_binary "},
	} {
		if got := hexBinaries(x.in); got != x.want {
			t.Errorf("%q:\n got %q\nwant %q", x.in, got, x.want)
		}
	}
}

// TestVersion checks that executable comments are compared with the version that clients are told.
func TestVersion(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	db := open(t, v.config("root", ""))
	if got := query(t, db, "select version(), /*!80033 1 + */ 1, /*!80034 1 + */ 1"); got != Version+" 2 1" {
		t.Fatalf("got %s", got)
	}
}

// TestMessages checks that nobody is sent to where the engine's makers want to hear of what it lacks.
func TestMessages(t *testing.T) {
	for in, want := range map[string]string{
		"unable to find field with index 3 in row of 2 columns. \n This is a bug. Please file an issue here: https://example.com/issues": "unable to find field with index 3 in row of 2 columns",
		"The collation `x` has not yet been implemented, please create an issue at https://example.com and others will implement it":     "The collation `x` has not yet been implemented",
		"random password generation is not currently supported; you can request support at https://example.com":                          "random password generation is not currently supported",
		"nothing to see here.": "nothing to see here.",
	} {
		err := known(vitess.NewSQLError(erUnknown, "HY000", "%s", in), "")
		if got := err.(*vitess.SQLError).Message; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	v := serve(t, vfs.NewMem(), Options{})
	db := open(t, v.config("root", ""))
	for _, q := range []string{"create user u identified by random password", "create table t (s varchar(3) collate big5_bin)"} {
		_, err := db.Exec(q)
		if err == nil || strings.Contains(err.Error(), "http") || strings.Contains(err.Error(), "issue") {
			t.Errorf("%s: %v", q, err)
		}
	}
}

// TestErrorAmongBinaryRows checks that a prepared statement which fails after its first rows ends with the error, not with the connection.
func TestErrorAmongBinaryRows(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	db := open(t, v.config("root", ""))
	db.SetMaxOpenConns(1)
	exec(t, db, "create table n (i bigint primary key)",
		"insert into n with recursive n (i) as (select 0 union all select i + 1 from n where i < 999) select i from n", "set @x = 1")
	st, err := db.PrepareContext(t.Context(), "select i, 9223372036854775807 - ? + i from n")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := st.QueryContext(t.Context(), 900)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for rows.Next() {
		got++
	}
	var e *driver.MySQLError
	if err := rows.Err(); !errors.As(err, &e) || e.Number != 1690 || got == 0 {
		t.Fatalf("%d rows, %v", got, err)
	}
	if x := query(t, db, "select @x"); x != "1" {
		t.Fatalf("the session is another: %q", x)
	}
}

// TestWireEndOfRows checks that an error takes the place of one whole packet and of nothing else.
func TestWireEndOfRows(t *testing.T) {
	w, s := newTestWire(nil)
	w.instead = errorPacket(vitess.NewSQLError(1317, "70100", "gone"))
	if _, err := w.Write(packetOf(9, "\xfe\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(packetOf(1, "next")); err != nil {
		t.Fatal(err)
	}
	if want := string(packetOf(9, "\xff\x25\x05#70100gone")) + string(packetOf(1, "next")); s.out.String() != want {
		t.Fatalf("wrote %q, want %q", s.out.String(), want)
	}
	for _, p := range [][]byte{{}, packetOf(9, "end")[:6], append(packetOf(9, "end"), packetOf(10, "more")...)} {
		w.instead = []byte("error")
		if _, err := w.Write(p); err == nil {
			t.Errorf("%q was taken for one packet", p)
		}
	}
}
