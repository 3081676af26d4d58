package flight

import (
	"context"

	"github.com/stemmadb/stemma/internal/frame"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

type partitionsRequest struct {
	Table    string `json:"table"`
	Ref      string `json:"ref"`
	N        int    `json:"n"`
	Database string `json:"database"`
}

type partitionsResult struct {
	Commit     *string         `json:"commit"`
	Rows       uint64          `json:"rows"`
	Partitions []partitionJSON `json:"partitions"`
}

type partitionJSON struct {
	From  uint64         `json:"from"`
	To    uint64         `json:"to"`
	First map[string]any `json:"first"`
	Last  map[string]any `json:"last"`
}

func (s *service) partitions(ctx context.Context, c *call, b []byte) (any, error) {
	var r partitionsRequest
	if err := body(b, &r); err != nil {
		return nil, err
	}
	if r.N < 1 || r.N > maxPartitions {
		return nil, invalid("n: %d partitions: want 1 to %d", r.N, maxPartitions)
	}
	h, err := c.client(ctx, r.Database, "")
	if err != nil {
		return nil, err
	}
	defer h.release()
	f, err := s.find(ctx, c, h.Client, r.Database, r.Table, c.ref(r.Ref))
	if err != nil {
		return nil, err
	}
	out := partitionsResult{Rows: f.view.Count(), Partitions: []partitionJSON{}}
	if !f.Commit.IsZero() {
		full := f.Commit.Full()
		out.Commit = &full
	}
	cuts, err := frame.Split(ctx, f.view, r.N)
	if err != nil {
		return nil, f.problem(err)
	}
	for _, x := range cuts {
		p := partitionJSON{From: x.From, To: x.To}
		if p.First, err = keyJSON(ctx, f.view, x.From); err == nil {
			p.Last, err = keyJSON(ctx, f.view, x.To-1)
		}
		if err != nil {
			return nil, f.problem(err)
		}
		out.Partitions = append(out.Partitions, p)
	}
	return out, nil
}

// keyAt is the cells of the key of the row that has n rows ahead of it; nil of tables with edits that are not folded, or without a key.
func keyAt(ctx context.Context, v *table.View, n uint64) ([]value.Cell, error) {
	s := v.Schema()
	if s.Keyless() || v.Overlay().Len() > 0 {
		return nil, nil
	}
	cur := v.Tree(table.RowsTree).Cursor()
	if err := cur.SeekOrdinal(ctx, n); err != nil {
		return nil, err
	}
	if !cur.Valid() {
		return nil, nil
	}
	tuple, err := cur.Row(ctx, nil)
	if err != nil {
		return nil, err
	}
	cells := make([]value.Cell, len(s.Primary.Phys))
	if err := value.DecodeTuple(tuple, s.Primary.Phys, cells); err != nil {
		return nil, err
	}
	key := make([]value.Cell, len(s.PrimaryKey))
	for i, k := range s.PrimaryKey {
		if key[i], err = table.Resolve(ctx, v.Reader(), cells[s.ColumnByID(k.Column)]); err != nil {
			return nil, err
		}
	}
	return key, nil
}

// keyJSON is keyAt by the names of the columns.
func keyJSON(ctx context.Context, v *table.View, n uint64) (map[string]any, error) {
	key, err := keyAt(ctx, v, n)
	if err != nil || key == nil {
		return nil, err
	}
	s := v.Schema()
	out := map[string]any{}
	for i, k := range s.PrimaryKey {
		col := &s.Columns[s.ColumnByID(k.Column)]
		c := key[i]
		switch col.Type.Kind {
		case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32:
			out[col.Name] = c.Int()
		case value.KindUint64:
			out[col.Name] = c.Uint()
		case value.KindBinary, value.KindVarbinary, value.KindBlob:
			out[col.Name] = c.Bytes()
		default:
			out[col.Name] = string(value.AppendText(nil, col.Type, c))
		}
	}
	return out, nil
}
