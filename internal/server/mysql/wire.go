package mysql

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"sync/atomic"

	vitess "github.com/dolthub/vitess/go/mysql"
)

// Commands and packets of the protocol that vitess does not know, or does not name.
const (
	comInitDB     = 0x02
	comChangeUser = 0x11
	comExecute    = 0x17
	executeHead   = 6         // bytes of a COM_STMT_EXECUTE up to its flags, which ask for a cursor
	fullPacket    = 1<<24 - 1 // of this length are packets that another continues
)

// wireBuffer is the size of the buffer for what clients send, and so the greatest size of a COM_CHANGE_USER.
const wireBuffer = 16 << 10

// changeMark begins the name of the database in a COM_INIT_DB that was a COM_CHANGE_USER. No client knows it.
var changeMark = rand.Text()

// wire is the connection between vitess and a client that is logged in. Vitess answers COM_CHANGE_USER with an error and without asking
// its handler. So a COM_CHANGE_USER is passed on as a COM_INIT_DB of a name that begins with changeMark and goes on with the packet:
// that comes to the handler, at the end of the command before. Vitess does not count the packets that the handler exchanges then, so
// the numbers of packets are put right here.
type wire struct {
	net.Conn
	in *bufio.Reader

	// Of reading.
	ready []byte // to be read before anything of in
	left  int    // bytes of the packet in in
	more  bool   // the packet is continued by the next
	last  uint8  // number of the packet

	// Of the exchange that the handler has begun, and its end.
	ahead  atomic.Int32 // how many packets the client has counted that vitess has not
	ending atomic.Bool  // the next packet that is written is the answer
	hangUp atomic.Bool  // the client is not to be heard after it

	// Of results.
	cursor  atomic.Bool // the statement's rows are fetched by later commands
	sent    bool        // the statement has answered rows
	instead []byte      // what is written in place of the end of the rows

	// Of writing.
	written atomic.Bool // something was, since a packet was read
	head    []byte      // of the packet that is being written, while ahead is not 0
	body    int         // bytes of it
}

// tap puts a wire between vitess and the client, who must be waiting for an answer. It is nil when that cannot be done: then there is no
// COM_CHANGE_USER.
//
// Vitess reads with a bufio.Reader that it does not give away, on top of the TLS connection that it makes itself, so that nobody below it
// sees commands. The reader is found by its name.
func tap(c *vitess.Conn) *wire {
	f := reflect.ValueOf(c).Elem().FieldByName("bufferedReader")
	if !f.IsValid() || f.Type() != reflect.TypeFor[*bufio.Reader]() || f.IsNil() {
		return nil
	}
	r := (*bufio.Reader)(f.UnsafePointer())
	if r.Buffered() > 0 {
		return nil
	}
	w := newWire(c.Conn)
	r.Reset(w)
	c.Conn = w
	return w
}

func newWire(c net.Conn) *wire { return &wire{Conn: c, in: bufio.NewReaderSize(c, wireBuffer)} }

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(w.ready) == 0 && w.left == 0 {
		if err := w.next(); err != nil {
			return 0, err
		}
	}
	if len(w.ready) > 0 {
		n := copy(p, w.ready)
		w.ready = w.ready[n:]
		return n, nil
	}
	n, err := w.in.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}

// next looks at the beginning of a packet. When it fails, nothing has happened.
func (w *wire) next() error {
	if w.hangUp.Load() {
		return io.EOF
	}
	head, err := w.in.Peek(4)
	if err != nil {
		return err
	}
	length := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	number := head[3]
	// In the middle of a file that the client sends, numbers begin at 0 again.
	command := number == 0 && !w.more && (w.last != 255 || w.written.Load())
	if command && length > 0 && length+4 <= wireBuffer {
		if head, err = w.in.Peek(5); err != nil {
			return err
		}
		if head[4] == comExecute && length >= executeHead {
			if head, err = w.in.Peek(4 + executeHead); err != nil {
				return err
			}
			w.cursor.Store(head[4+executeHead-1] != 0)
		}
		if head[4] == comChangeUser {
			if head, err = w.in.Peek(4 + length); err != nil {
				return err
			}
			n := 1 + len(changeMark) + length - 1
			w.ready = append([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0, comInitDB}, changeMark...)
			w.ready = append(w.ready, head[5:]...)
			w.began(number, false)
			_, err = w.in.Discard(4 + length)
			return err
		}
	}
	w.began(number, length == fullPacket)
	if ahead := w.ahead.Load(); ahead != 0 && number != 0 {
		w.ready = []byte{head[0], head[1], head[2], number - uint8(ahead)}
		w.left = length
		_, err = w.in.Discard(4)
		return err
	}
	w.left = 4 + length
	return nil
}

func (w *wire) began(number uint8, more bool) {
	w.last, w.more = number, more
	w.written.Store(false)
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	w.written.Store(true)
	ahead := w.ahead.Load()
	if w.instead != nil {
		return w.replace(p)
	}
	if ahead == 0 {
		return w.Conn.Write(p)
	}
	out := make([]byte, 0, len(p))
	for _, c := range p {
		if w.body > 0 {
			w.body--
		} else {
			if len(w.head) == 3 {
				c += uint8(ahead)
			}
			if w.head = append(w.head, c); len(w.head) == 4 {
				w.body = int(binary.LittleEndian.Uint32(w.head) & fullPacket)
				w.head = w.head[:0]
			}
		}
		out = append(out, c)
	}
	n, err := w.Conn.Write(out)
	if w.ending.Load() && w.body == 0 && len(w.head) == 0 {
		w.ending.Store(false)
		w.ahead.Store(0)
	}
	return n, err
}

// interpose writes a packet that vitess does not count, as the answer to a command.
func (w *wire) interpose(packet []byte) error {
	n := len(packet)
	_, err := w.Conn.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), uint8(1 + w.ahead.Load())}, packet...))
	w.written.Store(true)
	w.ahead.Add(1)
	return err
}

// replace writes the packet that is to stand in place of p, the end of a result's rows.
func (w *wire) replace(p []byte) (int, error) {
	out := w.instead
	w.instead = nil
	if len(p) < 4 || len(p) != 4+int(p[0])+int(p[1])<<8+int(p[2])<<16 {
		return 0, errNoEnd // nobody may take the rows for all
	}
	n := len(out)
	if _, err := w.Conn.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), p[3]}, out...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

var errNoEnd = errors.New("what was to be the end of a result is not one packet")

// errorPacket is the packet of an error.
func errorPacket(e *vitess.SQLError) []byte {
	const mark, maxMessage = 0xff, 512 // MySQL's MYSQL_ERRMSG_SIZE
	p := []byte{mark, byte(e.Num), byte(e.Num >> 8), '#'}
	state := e.State
	if len(state) != 5 {
		state = vitess.SSUnknownSQLState
	}
	return append(append(p, state...), e.Message[:min(len(e.Message), maxMessage)]...)
}

// end says that the next packet that vitess writes ends the exchange, and whether the client is to be heard after it.
func (w *wire) end(hangUp bool) {
	w.hangUp.Store(hangUp)
	if w.ahead.Load() != 0 {
		w.ending.Store(true)
	}
}
