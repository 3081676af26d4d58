package ingest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// smallFiles are a Parquet, an Arrow file and an Arrow stream of a few rows with nested columns.
func smallFiles(t testing.TB) map[string][]byte {
	t.Helper()
	sc := arrow.NewSchema([]arrow.Field{
		{Name: "a", Type: arrow.PrimitiveTypes.Int64, Metadata: arrow.NewMetadata([]string{"k"}, []string{"v"})},
		{Name: "b", Type: arrow.StructOf(arrow.Field{Name: "x", Type: arrow.BinaryTypes.String, Nullable: true}, arrow.Field{Name: "y", Type: arrow.ListOf(arrow.PrimitiveTypes.Int32)})},
	}, nil)
	build := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	defer build.Release()
	for _, row := range []string{`{"a": 1, "b": {"x": "one", "y": [1]}}`, `{"a": 2, "b": {"x": null, "y": []}}`} {
		if err := build.UnmarshalJSON([]byte(row)); err != nil {
			t.Fatal(err)
		}
	}
	batch := build.NewRecordBatch()
	defer batch.Release()
	var pq, file, stream bytes.Buffer
	w, err := pqarrow.NewFileWriter(sc, &pq, parquet.NewWriterProperties(), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		t.Fatal(err)
	}
	fw, err := ipc.NewFileWriter(&file, ipc.WithSchema(sc))
	if err != nil {
		t.Fatal(err)
	}
	sw := ipc.NewWriter(&stream, ipc.WithSchema(sc), ipc.WithZstd())
	if err := errors.Join(w.Write(batch), w.Close(), fw.Write(batch), fw.Close(), sw.Write(batch), sw.Close()); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"f.parquet": pq.Bytes(), "f.arrow": file.Bytes(), "f.arrows": stream.Bytes()}
}

// readBatches reads a file to its end.
func readBatches(ctx context.Context, name string, data []byte) (rows int64, err error) {
	f, err := FormatOf(name, "")
	if err != nil {
		return 0, err
	}
	b, err := OpenBatches(Source{Name: name, R: bytes.NewReader(data), Size: int64(len(data))}, f, nil)
	if err != nil {
		return 0, err
	}
	for {
		r, err := b.Next(ctx)
		if errors.Is(err, io.EOF) {
			return rows, b.Close()
		}
		if err != nil {
			return rows, errors.Join(err, b.Close())
		}
		rows += r.NumRows()
		r.Release()
	}
}

// allocated is how many bytes fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A Parquet file whose Arrow schema is damaged, in each of its bytes in turn, is refused or read, and takes no more memory than it has to.
func TestDamagedArrowSchema(t *testing.T) {
	ctx := context.Background()
	good := smallFiles(t)["f.parquet"]
	if rows, err := readBatches(ctx, "f.parquet", good); rows != 2 || err != nil {
		t.Fatalf("%d rows, %v", rows, err)
	}
	at := bytes.Index(good, []byte("/////")) // base64 of the mark before a message
	if at < 0 {
		t.Fatal("the file has no schema of Arrow's")
	}
	end := at
	for end < len(good) && (good[end] == '+' || good[end] == '/' || good[end] == '=' || good[end]-'0' < 10 || good[end]|0x20-'a' < 26) {
		end++
	}
	schema, err := base64.StdEncoding.DecodeString(string(good[at : at+(end-at)/4*4]))
	if err != nil || len(schema) < 200 {
		t.Fatalf("a schema of %d bytes, %v", len(schema), err)
	}
	refused := 0
	for i := range schema {
		for _, v := range []byte{0xff, 0x7f, 0x00} {
			bad := bytes.Clone(schema)
			bad[i] = v
			data := bytes.Clone(good)
			copy(data[at:], base64.StdEncoding.EncodeToString(bad))
			var err error
			if n := allocated(func() { _, err = readBatches(ctx, "f.parquet", data) }); n > 32<<20 {
				t.Errorf("byte %d of the schema set to %#x: %d MB are allocated", i, v, n>>20)
			}
			if err != nil {
				refused++
			}
		}
	}
	if refused == 0 {
		t.Error("no damage was found")
	}
}

// FuzzBatches reads damaged files of columns: an error, or rows, but not the end of the program.
func FuzzBatches(f *testing.F) {
	files := smallFiles(f)
	for name, data := range files {
		f.Add(name, data, uint16(0), byte(0))
		for i := 0; i < len(data); i += 7 {
			f.Add(name, data, uint16(i), byte(0xff))
		}
	}
	f.Fuzz(func(t *testing.T, name string, data []byte, at uint16, v byte) {
		if _, ok := files[name]; !ok || len(data) > 1<<16 {
			t.Skip()
		}
		if int(at) < len(data) {
			data = bytes.Clone(data)
			data[at] ^= v
		}
		_, _ = readBatches(t.Context(), name, data)
	})
}
