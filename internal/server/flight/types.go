package flight

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/schema_ref"
)

// xdbcType is a type of columns, as ODBC and JDBC describe it.
type xdbcType struct {
	name     string
	code     int32 // of ODBC
	size     int32 // the most digits, characters or bytes
	params   []string
	quoted   bool
	unsigned bool
	number   bool
	scales   [2]int32 // least and most
	subcode  int32    // of dates and times
}

// xdbcTypes are the types of columns.
var xdbcTypes = []xdbcType{
	{name: "BOOLEAN", code: -7, size: 1}, {name: "TINYINT", code: -6, size: 3, number: true}, {name: "TINYINT UNSIGNED", code: -6, size: 3, number: true, unsigned: true},
	{name: "SMALLINT", code: 5, size: 5, number: true}, {name: "SMALLINT UNSIGNED", code: 5, size: 5, number: true, unsigned: true},
	{name: "MEDIUMINT", code: 4, size: 7, number: true}, {name: "MEDIUMINT UNSIGNED", code: 4, size: 8, number: true, unsigned: true},
	{name: "INT", code: 4, size: 10, number: true}, {name: "INT UNSIGNED", code: 4, size: 10, number: true, unsigned: true},
	{name: "BIGINT", code: -5, size: 19, number: true}, {name: "BIGINT UNSIGNED", code: -5, size: 20, number: true, unsigned: true},
	{name: "FLOAT", code: 7, size: 7, number: true}, {name: "DOUBLE", code: 8, size: 15, number: true},
	{name: "DECIMAL", code: 3, size: 65, params: []string{"precision", "scale"}, number: true, scales: [2]int32{0, 30}},
	{name: "BIT", code: -7, size: 64, params: []string{"length"}}, {name: "YEAR", code: 5, size: 4},
	{name: "DATE", code: 91, size: 10, quoted: true, subcode: 1}, {name: "TIME", code: 92, size: 17, params: []string{"fraction"}, quoted: true, scales: [2]int32{0, 6}, subcode: 2},
	{name: "DATETIME", code: 93, size: 26, params: []string{"fraction"}, quoted: true, scales: [2]int32{0, 6}, subcode: 3},
	{name: "TIMESTAMP", code: 93, size: 26, params: []string{"fraction"}, quoted: true, scales: [2]int32{0, 6}, subcode: 3},
	{name: "CHAR", code: 1, size: 255, params: []string{"length"}, quoted: true}, {name: "VARCHAR", code: 12, size: 16383, params: []string{"length"}, quoted: true},
	{name: "TEXT", code: -1, size: 65535, quoted: true}, {name: "MEDIUMTEXT", code: -1, size: 16777215, quoted: true}, {name: "LONGTEXT", code: -1, size: 2147483647, quoted: true},
	{name: "JSON", code: -1, size: 2147483647, quoted: true}, {name: "ENUM", code: 1, size: 65535, params: []string{"values"}, quoted: true}, {name: "SET", code: 1, size: 64, params: []string{"values"}, quoted: true},
	{name: "BINARY", code: -2, size: 255, params: []string{"length"}, quoted: true}, {name: "VARBINARY", code: -3, size: 65535, params: []string{"length"}, quoted: true},
	{name: "BLOB", code: -4, size: 65535, quoted: true}, {name: "MEDIUMBLOB", code: -4, size: 16777215, quoted: true}, {name: "LONGBLOB", code: -4, size: 2147483647, quoted: true},
}

// GetFlightInfoXdbcTypeInfo implements flightsql.Server.
func (q *sqlServer) GetFlightInfoXdbcTypeInfo(_ context.Context, _ flightsql.GetXdbcTypeInfo, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return q.info(d, schema_ref.XdbcTypeInfo)
}

// DoGetXdbcTypeInfo implements flightsql.Server.
func (q *sqlServer) DoGetXdbcTypeInfo(_ context.Context, cmd flightsql.GetXdbcTypeInfo) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return q.batch(schema_ref.XdbcTypeInfo, func(b *array.RecordBuilder) error {
		number := func(column int, v int32, there bool) {
			if f := b.Field(column).(*array.Int32Builder); there {
				f.Append(v)
			} else {
				f.AppendNull()
			}
		}
		truth := func(column int, v bool) { b.Field(column).(*array.BooleanBuilder).Append(v) }
		for _, t := range xdbcTypes {
			if want := cmd.GetDataType(); want != nil && *want != t.code {
				continue
			}
			text(b, 0, t.name)
			number(1, t.code, true)
			number(2, t.size, true)
			for _, column := range []int{3, 4} {
				if t.quoted {
					text(b, column, "'")
				} else {
					b.Field(column).AppendNull()
				}
			}
			params := b.Field(5).(*array.ListBuilder)
			if t.params == nil {
				params.AppendNull()
			} else {
				params.Append(true)
				for _, p := range t.params {
					params.ValueBuilder().(*array.StringBuilder).Append(p)
				}
			}
			number(6, 1, true) // may be NULL
			truth(7, t.quoted)
			number(8, 3, true) // may be searched for in every way
			truth(9, t.unsigned)
			truth(10, false)
			truth(11, false)
			text(b, 12, t.name)
			number(13, t.scales[0], t.scales[1] > 0)
			number(14, t.scales[1], t.scales[1] > 0)
			number(15, t.code, true)
			number(16, t.subcode, t.subcode > 0)
			number(17, 10, t.number)
			b.Field(18).AppendNull()
		}
		return nil
	})
}
