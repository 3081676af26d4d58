package value_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/value"
)

func TestInferrer(t *testing.T) {
	const null = "\x00" // stands for NULL
	tests := []struct {
		values   string // with | between
		want     string
		nullable bool
	}{
		{null, "varchar(255)", true}, {"", "varchar(255)", false},
		{"1|2|-3", "int", false}, {"1|2147483647", "int", false}, {"1|2147483648", "bigint", false}, {"-2147483649", "bigint", false}, {"-2147483648", "int", false},
		{"9223372036854775807|-9223372036854775808", "bigint", false}, {"9223372036854775808|1", "bigint unsigned", false}, {"18446744073709551615", "bigint unsigned", false},
		{"9223372036854775808|-1", "varchar(255)", false}, {"18446744073709551616", "varchar(255)", false}, {"1|" + null, "int", true}, {"1|", "int", true}, {"0|1", "int", false},
		{"1|2.5", "double", false}, {"1.0", "double", false}, {"1e5|.5|5.", "double", false}, {"-0", "double", false}, {"1e999", "varchar(255)", false}, {"1.5|9223372036854775808|-1", "varchar(255)", false},
		{"007", "varchar(255)", false}, {"1|007", "varchar(255)", false}, {"00.5", "varchar(255)", false}, {"-01", "varchar(255)", false}, {"+49", "varchar(255)", false}, {"0.5|-0.5", "double", false},
		{"1 |2", "varchar(255)", false}, {"1,5", "varchar(255)", false}, {"0x10", "varchar(255)", false}, {"1_000", "varchar(255)", false}, {"NaN", "varchar(255)", false}, {"inf", "varchar(255)", false},
		{"true|False|TRUE", "tinyint", false}, {"true|1", "varchar(255)", false}, {"true||false", "tinyint", true}, {"yes", "varchar(255)", false},
		{"2020-01-02|1999-12-31", "date", false}, {"2020-01-02|2020-01-02 03:04:05", "datetime", false}, {"2020-01-02 03:04:05.5|2020-01-02T03:04:05.123450", "datetime(5)", false},
		{"2020-01-02 03:04:05.123456789", "varchar(255)", false}, {"2020-01-02 03:04:05.123456000", "datetime(6)", false}, {"2020-01-02 03:04:05Z", "datetime", false},
		{"2020-01-02 03:04:05.120Z", "datetime(2)", false}, {"2020-01-02 03:04:05+00:00", "datetime", false}, {"2020-01-02 03:04:05+01:00", "varchar(255)", false},
		{"2020-02-30", "varchar(255)", false}, {"2020-1-2", "varchar(255)", false}, {"0000-01-01", "date", false}, {"0000-00-00", "date", false}, {"2020-01-02|1", "varchar(255)", false}, {"20200102", "int", false},
		{"2020-01-02|", "date", true}, {"a|", "varchar(255)", false}, {"|a", "varchar(255)", false}, {"1||a", "varchar(255)", false}, {"a|" + null, "varchar(255)", true},
		{strings.Repeat("x", 255), "varchar(255)", false}, {strings.Repeat("ä", 255), "varchar(255)", false}, {strings.Repeat("x", 256), "varchar(1023)", false}, {strings.Repeat("x", 1024), "varchar(4095)", false},
		{strings.Repeat("x", 4096), "text", false}, {strings.Repeat("ä", 40000), "mediumtext", false}, {strings.Repeat("x", 1<<24), "longtext", false},
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, tt := range tests {
		values := strings.Split(tt.values, "|")
		for range 6 { // in any order
			var f value.Inferrer
			for _, v := range values {
				f.Observe([]byte(v), v == null)
			}
			typ, nullable := f.Result()
			if typ.String() != tt.want || nullable != tt.nullable {
				t.Errorf("%.80q: %v, nullable %v; want %s, %v", values, typ, nullable, tt.want, tt.nullable)
			}
			for _, v := range values {
				if v == null || v == "" && nullable {
					continue
				}
				if _, err := value.Parse(typ, []byte(v)); err != nil {
					t.Errorf("the type found does not hold the value: %v", err)
				}
			}
			rng.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, bb := range []struct{ name, text string }{
		{"int", "1234567"}, {"double", "12345.67"}, {"date", "2020-01-02"}, {"varchar", "hospital of x"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var f value.Inferrer
			text := []byte(bb.text)
			b.ReportAllocs()
			for b.Loop() {
				f.Observe(text, false)
			}
		})
	}
}
