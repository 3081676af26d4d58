package errs

import (
	"slices"
	"testing"
)

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		name       string
		candidates []string
		want       []string
	}{
		{"prcies", []string{"prices", "stores"}, []string{"prices"}},
		{"mian", []string{"main", "topic"}, []string{"main"}},
		{"fo", []string{"feature", "foo1", "foo2"}, []string{"foo1", "foo2"}},
		{"zz", []string{"zz"}, nil}, // the name itself
		{"zzz", []string{"zzz", "zzy"}, []string{"zzy"}},
		{"v1", []string{"n1", "v", "main"}, []string{"v"}},
		{"ZZ", []string{"zz"}, []string{"zz"}}, // names of refs have a case
		{"Main", []string{"main"}, []string{"main"}},
		{"foo", []string{"log", "--not", "add"}, nil},
		{"--foo", []string{"--not", "--all"}, nil},
		{"--", []string{"--not"}, nil},
		{"tt", []string{"t", "ta"}, []string{"t"}},
		{"u", []string{"t"}, nil},
		{"", []string{"a"}, nil},
		{"aaaa", []string{"aaab", "aaac", "aaad", "aaae"}, []string{"aaab", "aaac", "aaad"}},
	} {
		if got := Nearest(c.name, c.candidates); !slices.Equal(got, c.want) {
			t.Errorf("%q among %q: %q, want %q", c.name, c.candidates, got, c.want)
		}
	}
}
