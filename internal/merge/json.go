package merge

import (
	"bytes"
	"encoding/json"

	"github.com/stemmadb/stemma/internal/value"
)

// JSON merges two canonical documents member by member: a member that one side changed is taken, one that both changed merges when it
// is an object in all three. ok is false when the sides stand against each other; documents other than objects do when both changed
// them.
func JSON(base, ours, theirs []byte) (merged []byte, ok bool, err error) {
	out, ok, err := mergeJSON(base, ours, theirs)
	if err != nil || !ok {
		return nil, false, err
	}
	merged, err = value.CanonicalJSON(nil, out)
	return merged, err == nil, err
}

// mergeJSON is JSON with members in any order. nil is an absent member.
func mergeJSON(base, ours, theirs []byte) ([]byte, bool, error) {
	eq := func(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
	if v, ok := three(eq, true, base, ours, theirs); ok {
		return v, true, nil
	}
	for _, d := range [][]byte{base, ours, theirs} {
		if len(d) == 0 || d[0] != '{' {
			return nil, false, nil
		}
	}
	var b, o, t map[string]json.RawMessage
	for _, x := range []struct {
		text []byte
		to   *map[string]json.RawMessage
	}{{base, &b}, {ours, &o}, {theirs, &t}} {
		if err := json.Unmarshal(x.text, x.to); err != nil {
			return nil, false, err
		}
	}
	out := map[string]json.RawMessage{}
	keys := map[string]bool{}
	for _, m := range []map[string]json.RawMessage{b, o, t} {
		for k := range m {
			keys[k] = true
		}
	}
	for k := range keys {
		v, ok, err := mergeJSON(b[k], o[k], t[k])
		if err != nil || !ok {
			return nil, false, err
		}
		if v != nil {
			out[k] = v
		}
	}
	text, err := json.Marshal(out)
	return text, err == nil, err
}
