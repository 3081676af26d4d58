package catalog

import "testing"

func TestQuoteUnreserved(t *testing.T) {
	for _, x := range []struct{ in, want string }{
		{"select std, STD(x), std (x), @std, t.std, std_x, 'std', `std`, \"std\" -- std\n, std /* std */ # std", "select `std`, STD(x), `std` (x), @std, t.`std`, std_x, 'std', `std`, \"std\" -- std\n, `std` /* std */ # std"},
		{"plan(off)", "`plan`(`off`)"},
		{"std", "`std`"},
		{"stdé étd", "stdé étd"},
		{"", ""},
	} {
		got, at := quoteUnreserved(x.in)
		if got != x.want {
			t.Errorf("%s:\n got %s\nwant %s", x.in, got, x.want)
		}
		for i, from := 0, 0; i < len(x.in); i++ {
			for from < len(got) && got[from] != x.in[i] {
				from++
			}
			if back := unquotedAt(at, from); back != i {
				t.Errorf("%s: place %d is %d in %s", x.in, i, back, got)
			}
			from++
		}
	}
}
