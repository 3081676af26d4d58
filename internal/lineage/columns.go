package lineage

import (
	"encoding/json"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// How a column comes from another, named as OpenLineage names the subtypes of a direct transformation.
const (
	Identity       = "IDENTITY"
	Transformation = "TRANSFORMATION"
	Aggregation    = "AGGREGATION"
)

// Origin is a column from which a column that a run wrote was made.
type Origin struct {
	DB     string // "" for that of the output
	Table  string
	Column string
	Kind   string // Identity, Transformation or Aggregation; "" where it is not known
}

// Origins are the origins of an output's columns by the column's name, as far as they are known.
func (o *Output) Origins() (map[string][]Origin, error) {
	if o.ColumnLineage == "" {
		return nil, nil
	}
	var by map[string][][]string
	err := json.Unmarshal(value.AppendJSONText(nil, []byte(o.ColumnLineage)), &by)
	out := make(map[string][]Origin, len(by))
	for name, list := range by {
		for _, x := range list {
			if len(x) < 2 || len(x) > 4 {
				err = errs.New(errs.Invalid, "an origin is [table, column, kind, database]")
				continue
			}
			x = append(slices.Clone(x), "", "")
			out[name] = append(out[name], Origin{Table: x[0], Column: x[1], Kind: x[2], DB: x[3]})
		}
	}
	if err != nil {
		return nil, errs.New(errs.Corrupt, "read %s: the column lineage of run %s: %w", Outputs, o.Run, err)
	}
	return out, nil
}

// EncodeOrigins is the canonical JSON of origins by column, as Output.ColumnLineage has it; "" of none.
func EncodeOrigins(by map[string][]Origin) (string, error) {
	if len(by) == 0 {
		return "", nil
	}
	out := make(map[string][][]string, len(by))
	for name, list := range by {
		for _, x := range list {
			item := []string{x.Table, x.Column, x.Kind, x.DB}
			for len(item) > 2 && item[len(item)-1] == "" {
				item = item[:len(item)-1]
			}
			out[name] = append(out[name], item)
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		return "", errs.New(errs.Internal, "encode the lineage of columns: %w", err)
	}
	canonical, err := value.CanonicalJSON(nil, text)
	return string(canonical), err
}

// MergeOrigins adds origins to those of the same columns.
func MergeOrigins(to, more map[string][]Origin) map[string][]Origin {
	if to == nil {
		to = map[string][]Origin{}
	}
	for name, list := range more {
		to[name] = JoinOrigins(to[name], list)
	}
	return to
}

// JoinOrigins is the origins of both; of a column that is there in several kinds the kind that changes most stands.
func JoinOrigins(a, b []Origin) []Origin {
	rank := []string{Identity, Transformation, Aggregation}
	out := slices.Clone(a)
next:
	for _, x := range b {
		for i := range out {
			if y := &out[i]; y.DB == x.DB && y.Table == x.Table && y.Column == x.Column {
				if slices.Index(rank, x.Kind) > slices.Index(rank, y.Kind) {
					y.Kind = x.Kind
				}
				continue next
			}
		}
		out = append(out, x)
	}
	return out
}
