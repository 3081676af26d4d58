package flight

import (
	"encoding/binary"
	"os"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// wireCodec is gRPC's codec for protobuf, but that the batches of a read go out of the memory in which they were gathered: Arrow's own
// writer copies a batch into one buffer, which protobuf's encoder copies into another.
//
// Messages of some length count among the calls until gRPC has sent them.
type wireCodec struct {
	encoding.CodecV2
	calls *calls // nil: nobody counts
}

func newWireCodec(c *calls) wireCodec { return wireCodec{encoding.GetCodecV2(proto.Name), c} }

// Marshal implements encoding.CodecV2.
func (c wireCodec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*wireData); ok {
		return m.marshal(c.calls), nil
	}
	out, err := c.CodecV2.Marshal(v)
	if err != nil || c.calls == nil {
		return out, err
	}
	for i, b := range out {
		if data := b.ReadOnlyData(); !mem.IsBelowBufferPoolingThreshold(cap(data)) {
			out[i] = mem.NewBuffer(&data, &counted{Buffer: b, end: c.calls.begin()})
		}
	}
	return out, nil
}

// counted is a buffer that counts among the calls: it is the pool to which its bytes go back.
type counted struct {
	mem.Buffer
	end func()
}

// Get implements mem.BufferPool.
func (c *counted) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// Put implements mem.BufferPool.
func (c *counted) Put(*[]byte) {
	c.Free()
	c.end()
}

// wireData is a FlightData that is sent.
type wireData struct {
	header []byte // the message of Arrow's IPC format
	note   []byte // app_metadata
	body   pieces
	batch  arrow.RecordBatch // that body lies in; nil when it lies in memory of its own
}

// pieces are bytes one behind the other.
type pieces struct {
	list [][]byte
	size int
}

// Write implements io.Writer. It keeps p.
func (p *pieces) Write(b []byte) (int, error) {
	p.list = append(p.list, b)
	p.size += len(b)
	return len(b), nil
}

// Tags of the fields of FlightData: their numbers and that they are bytes.
const (
	tagHeader = 2<<3 | 2
	tagNote   = 3<<3 | 2
	tagBody   = 1000<<3 | 2
)

// wireCopied is the length in bytes up to which a piece is copied, for gRPC goes through pieces one by one.
const wireCopied = 2 << 10

// marshal is the message as protobuf has it. Its long pieces are those of the batch, which is held until gRPC has sent them. c may
// be nil.
func (m *wireData) marshal(c *calls) mem.BufferSlice {
	own := make([]byte, 0, len(m.header)+len(m.note)+32)
	own = append(binary.AppendUvarint(append(own, tagHeader), uint64(len(m.header))), m.header...)
	if len(m.note) > 0 {
		own = append(binary.AppendUvarint(append(own, tagNote), uint64(len(m.note))), m.note...)
	}
	h := &hold{batch: m.batch, calls: c}
	var out mem.BufferSlice
	if m.body.size > 0 {
		own = binary.AppendUvarint(binary.AppendUvarint(own, tagBody), uint64(m.body.size))
		for _, p := range m.body.list {
			if len(p) <= wireCopied {
				own = append(own, p...)
				continue
			}
			out = append(out, h.piece(own), h.piece(p))
			own = nil
		}
	}
	if len(own) > 0 {
		out = append(out, h.piece(own))
	}
	h.ready()
	return out
}

// hold keeps a batch for as long as gRPC holds pieces of its message, and counts the message among the calls: it is the pool to which the
// pieces go back.
type hold struct {
	batch arrow.RecordBatch
	calls *calls
	end   func()       // of calls
	n     atomic.Int64 // pieces that are out, and one until all are
}

// piece is bytes of the message. gRPC does not give short ones back.
func (h *hold) piece(b []byte) mem.Buffer {
	if mem.IsBelowBufferPoolingThreshold(cap(b)) {
		return mem.SliceBuffer(b)
	}
	if h.n.Load() == 0 {
		if h.n.Store(1); h.batch != nil {
			h.batch.Retain()
		}
		if h.calls != nil {
			h.end = h.calls.begin()
		}
	}
	h.n.Add(1)
	return mem.NewBuffer(&b, h)
}

// ready says that no piece follows.
func (h *hold) ready() {
	if h.n.Load() > 0 {
		h.Put(nil)
	}
}

// Get implements mem.BufferPool.
func (h *hold) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// Put implements mem.BufferPool.
func (h *hold) Put(*[]byte) {
	if h.n.Add(-1) > 0 {
		return
	}
	if h.batch != nil {
		h.batch.Release()
	}
	if h.end != nil {
		h.end()
	}
}

// batchSender sends the payloads of a stream.
type batchSender struct {
	stream grpc.ServerStream
	memory *sharedMemory     // nil: bodies go with their messages
	batch  arrow.RecordBatch // the one that is sent now; nil before the first
	rows   int64             // of the batches so far
}

// send sends a batch.
func (s *batchSender) send(w *ipc.Writer, b arrow.RecordBatch) error {
	s.batch = b
	s.rows += b.NumRows()
	return w.Write(b)
}

var _ ipc.PayloadWriter = (*batchSender)(nil)

// Start implements ipc.PayloadWriter.
func (s *batchSender) Start() error { return nil }

// Close implements ipc.PayloadWriter.
func (s *batchSender) Close() error { return nil }

// WritePayload implements ipc.PayloadWriter.
func (s *batchSender) WritePayload(p ipc.Payload) error {
	meta := p.Meta()
	defer meta.Release()
	m := &wireData{header: meta.Bytes(), batch: s.batch}
	if err := p.SerializeBody(&m.body); err != nil {
		return err
	}
	if s.memory != nil && s.batch != nil {
		at, err := s.memory.write(&m.body)
		if err != nil {
			return err
		}
		m.note = at.note(s.rows)
		m.body = pieces{}
	}
	return s.stream.SendMsg(m)
}

// place is where in shared memory a body lies.
type place struct{ at, size int64 }

// note is what is said of a body in its place: where it is, how long, and how many rows have come with it and before, 64 bits each, least
// byte first.
func (p place) note(rows int64) []byte {
	var b []byte
	for _, v := range []int64{p.at, p.size, rows} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// sharedMemory is a file of memory that the client is given, into which bodies are written one behind the other.
type sharedMemory struct {
	memory Memory
	file   *os.File // nil before the first body
	end    int64
	buf    []byte // for short pieces
}

// close closes the file, which is no longer than what was written: it may have been another's before.
func (m *sharedMemory) close() {
	if m.file != nil {
		_ = m.file.Truncate(max(m.end, 1)) // at worst it takes more memory than it needs
		m.file.Close()
	}
}

// begin makes the file, if there is none, and gives it to the client.
func (m *sharedMemory) begin() (err error) {
	if m.file != nil {
		return nil
	}
	if m.file, err = m.memory.Make(0); err == nil {
		err = m.memory.Give([]*os.File{m.file})
	}
	if err != nil {
		return sharedFailed(err)
	}
	return nil
}

// bodyAlign is what the place of a body is a multiple of: Arrow's alignment.
const bodyAlign = 64

// write puts a body behind those before.
func (m *sharedMemory) write(body *pieces) (place, error) {
	at := (m.end + bodyAlign - 1) &^ (bodyAlign - 1)
	p := place{at: at, size: int64(body.size)}
	if err := m.begin(); err != nil {
		return p, err
	}
	for _, b := range body.list {
		// Short pieces are gathered, so that a batch of many narrow columns is not as many system calls.
		if len(m.buf) > 0 && len(m.buf)+len(b) > cap(m.buf) || len(b) > sharedGathered {
			if err := m.flush(&at); err != nil {
				return p, err
			}
		}
		if len(b) <= sharedGathered {
			if m.buf == nil {
				m.buf = make([]byte, 0, 4*sharedGathered)
			}
			m.buf = append(m.buf, b...)
			continue
		}
		n, err := m.file.WriteAt(b, at)
		if at += int64(n); err != nil {
			return p, sharedFailed(err)
		}
	}
	if err := m.flush(&at); err != nil {
		return p, err
	}
	m.end = at
	return p, nil
}

// sharedGathered is the length in bytes up to which a piece is written together with others.
const sharedGathered = 16 << 10

func (m *sharedMemory) flush(at *int64) error {
	n, err := m.file.WriteAt(m.buf, *at)
	*at += int64(n)
	m.buf = m.buf[:0]
	if err != nil {
		return sharedFailed(err)
	}
	return nil
}
