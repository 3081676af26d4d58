package pull

import (
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
)

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://etl:secret@db:5432/crm?sslmode=require": "postgres://etl@db:5432/crm",
		"mysql://db/shop":              "mysql://db/shop",
		"postgres://u:se cret%zz@h/db": "postgres://…",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestPostgresTexts(t *testing.T) {
	if b, err := bits([]byte("101000000001")); err != nil || string(b) != "\x0a\x01" {
		t.Errorf("%x %v", b, err)
	}
	for _, bad := range []string{"infinity", "-infinity", "0044-03-15 BC"} {
		if _, err := finite([]byte(bad)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := exactDecimal([]byte("0.1234567890123456789012345678901")); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
	if _, err := exactDecimal([]byte("1.500000000000000000000000000000000")); err != nil {
		t.Error(err)
	}
}
