package cli

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/op"
)

// parquetRows is how many rows of an answer are kept before they are written.
const parquetRows = 16 << 10

// renderParquet writes an answer as a file of Parquet. Decimals of more than 38 digits, times of day and JSON are text.
func renderParquet(ctx context.Context, w io.Writer, a *sqlAnswer) (err error) {
	fields := make([]arrow.Field, len(a.columns))
	for i := range fields {
		fields[i] = arrow.Field{Name: a.columns[i].Name, Type: a.arrowType(i), Nullable: true}
	}
	out, err := ingest.NewParquet(w, arrow.NewSchema(fields, nil))
	if err != nil {
		return err
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	err = func() error {
		n := 0
		for row, err := range a.all() {
			if err != nil {
				return err
			}
			for i, v := range row {
				if err := appendCell(b.Field(i), a.columns[i], v); err != nil {
					return errs.New(errs.Invalid, "write Parquet: column %s, row %d: %w", a.columns[i].Name, n+1, err)
				}
			}
			if n++; n%parquetRows == 0 {
				if err := out.Write(ctx, b.NewRecordBatch()); err != nil {
					return err
				}
			}
		}
		return out.Write(ctx, b.NewRecordBatch())
	}()
	if err != nil {
		out.Abort()
		return err
	}
	return out.Close(ctx)
}

// arrowType is the type that column i has in a file.
func (a *sqlAnswer) arrowType(i int) arrow.DataType {
	name, unsigned := strings.CutPrefix(a.names[i], "UNSIGNED ")
	switch name {
	case "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "YEAR":
		if unsigned {
			return arrow.PrimitiveTypes.Uint64
		}
		return arrow.PrimitiveTypes.Int64
	case "BIT":
		return arrow.PrimitiveTypes.Uint64
	case "FLOAT":
		return arrow.PrimitiveTypes.Float32
	case "DOUBLE":
		return arrow.PrimitiveTypes.Float64
	case "DATE":
		return arrow.FixedWidthTypes.Date32
	case "DATETIME", "TIMESTAMP":
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	case "BINARY", "VARBINARY", "BLOB", "GEOMETRY", "VECTOR":
		return arrow.BinaryTypes.Binary
	case "DECIMAL":
		const most = 38
		if p, ok := a.rows.(driver.RowsColumnTypePrecisionScale); ok {
			if precision, scale, ok := p.ColumnTypePrecisionScale(i); ok && precision > 0 && precision <= most && scale <= precision {
				return &arrow.Decimal128Type{Precision: int32(precision), Scale: int32(scale)}
			}
		}
	}
	return arrow.BinaryTypes.String
}

// appendCell appends a cell of an answer to a column.
func appendCell(b array.Builder, c op.Column, v any) error {
	if v == nil {
		b.AppendNull()
		return nil
	}
	s := op.FormatCell(c.Type, v)
	switch b := b.(type) {
	case *array.Int64Builder:
		n, err := strconv.ParseInt(s, 10, 64)
		b.Append(n)
		return err
	case *array.Uint64Builder:
		n, err := strconv.ParseUint(s, 10, 64)
		b.Append(n)
		return err
	case *array.Float32Builder:
		f, err := strconv.ParseFloat(s, 32)
		b.Append(float32(f))
		return err
	case *array.Float64Builder:
		f, err := strconv.ParseFloat(s, 64)
		b.Append(f)
		return err
	case *array.Date32Builder:
		t, err := time.Parse(time.DateOnly, s)
		b.Append(arrow.Date32FromTime(t))
		return err
	case *array.TimestampBuilder:
		t, err := time.Parse("2006-01-02 15:04:05.999999", s)
		b.Append(arrow.Timestamp(t.UnixMicro()))
		return err
	case *array.Decimal128Builder:
		t := b.Type().(*arrow.Decimal128Type)
		n, err := decimal128.FromString(s, t.Precision, t.Scale)
		b.Append(n)
		return err
	case *array.BinaryBuilder:
		b.AppendString(s)
	case *array.StringBuilder:
		b.Append(s)
	default:
		return fmt.Errorf("no form for %s", b.Type())
	}
	return nil
}
