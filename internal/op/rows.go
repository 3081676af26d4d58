package op

import (
	"context"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// cellValue is a stored cell in the form that Result asks for. Long cells are read from r.
func cellValue(ctx context.Context, r chunk.Reader, t value.Type, c value.Cell) (any, error) {
	c, err := table.Resolve(ctx, r, c)
	if err != nil || c.IsNull() {
		return nil, err
	}
	switch t.Kind {
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindYear:
		return c.Int(), nil
	case value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32:
		return uint64(c.Int()), nil
	case value.KindUint64, value.KindBit:
		return c.Uint(), nil
	case value.KindFloat64:
		return c.Float(), nil
	case value.KindFloat32:
		return float64(c.Float32()), nil
	case value.KindDatetime, value.KindTimestamp:
		if c.Int() == value.ZeroDatetime {
			return zeroTime, nil
		}
		return time.UnixMicro(c.Int()).UTC(), nil
	case value.KindBinary, value.KindVarbinary, value.KindBlob, value.KindGeometry, value.KindVector:
		return append([]byte(nil), c.Bytes()...), nil
	}
	return string(value.AppendText(nil, t, c)), nil
}
