package lineage

import (
	"testing"

	"github.com/stemmadb/stemma/internal/value"
)

// TestInColumn looks for values among those of columns of other types: one that such a column can only hold rounded or cut is in no row.
func TestInColumn(t *testing.T) {
	text := value.Type{Kind: value.KindVarchar, Length: 20, Collation: value.CollationUtf8mb40900Bin}
	whole := value.Type{Kind: value.KindInt32}
	double := value.Type{Kind: value.KindFloat64}
	decimal := func(scale uint8) value.Type { return value.Type{Kind: value.KindDecimal, Precision: 10, Scale: scale} }
	date := value.Type{Kind: value.KindDate}
	moment := func(digits uint8) value.Type { return value.Type{Kind: value.KindDatetime, Precision: digits} }
	for _, x := range []struct {
		from  value.Type
		text  string
		to    value.Type
		found string // "" where no row can have it
	}{
		{decimal(3), "1.250", decimal(1), ""},
		{decimal(3), "1.300", decimal(1), "1.3"},
		{double, "1.5", whole, ""},
		{double, "2", whole, "2"},
		{decimal(2), "1.50", double, "1.5"},
		{text, "7", whole, "7"},
		{text, "007", whole, ""}, // nothing that is made of 7 is written so
		{text, "seven", whole, ""},
		{whole, "7", text, "7"},
		{moment(6), "2024-01-02 03:04:05.600000", moment(0), ""},
		{moment(6), "2024-01-02 03:04:05.000000", moment(0), "2024-01-02 03:04:05"},
		{date, "2024-01-02", moment(0), "2024-01-02 00:00:00"},
		{moment(0), "2024-01-02 00:00:00", date, "2024-01-02"},
		{moment(0), "2024-01-02 03:04:05", date, ""},
	} {
		c, err := value.Parse(x.from, []byte(x.text))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if c, ok := inColumn(x.to, x.from, c); ok {
			got = string(value.AppendText(nil, x.to, c))
		}
		if got != x.found {
			t.Errorf("%s %s in a column of %s: %q, want %q", x.from.String(), x.text, x.to.String(), got, x.found)
		}
	}
}
