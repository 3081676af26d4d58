package op

import "strings"

// Synopsis are the usage lines, without the verb's name: those that it declares, or one derived from its parameters. dolt is for a
// program called dolt.
func (s *Spec) Synopsis(dolt bool) []string {
	if s.Usage != nil {
		return s.Usage
	}
	params := s.Params
	var words []string
	if s.HasOptions(dolt) {
		words = append(words, "[<options>]")
	}
	for n := 1; ; n++ {
		q := argument(params, n)
		if q == nil {
			break
		}
		w := "<" + q.Placeholder() + ">"
		if !q.Required {
			w = "[" + w + "]"
		}
		words = append(words, w)
	}
	if q := argument(params, RestArgs); q != nil {
		w := "<" + q.Placeholder() + ">..."
		if !q.Required {
			w = "[" + w + "]"
		}
		words = append(words, w)
	}
	if q := argument(params, AfterDash); q != nil {
		words = append(words, "[-- <"+q.Placeholder()+">...]")
	}
	return []string{strings.Join(words, " ")}
}

func argument(params []Param, place int) *Param {
	for i := range params {
		if params[i].Arg == place {
			return &params[i]
		}
	}
	return nil
}

// Listed tells whether help and completion show the parameter; dolt is for a program called dolt.
func (p *Param) Listed(dolt bool) bool {
	return !p.Hidden && (!p.DoltOnly || dolt)
}

// HasOptions tells whether help lists flags of the verb; dolt is for a program called dolt.
func (s *Spec) HasOptions(dolt bool) bool {
	for i := range s.Params {
		if q := &s.Params[i]; q.Listed(dolt) && (q.Flag != "" || q.Short != "") {
			return true
		}
	}
	return false
}

// Signature is how a flag, with its other names, or an argument is written.
func (p *Param) Signature() string {
	if p.Flag == "" && p.Short == "" {
		s := "<" + p.Placeholder() + ">"
		if p.Arg < 0 {
			s += "..."
		}
		return s
	}
	var forms []string
	if p.Short != "" {
		forms = append(forms, "-"+p.Short)
	}
	if p.Flag != "" {
		forms = append(forms, "--"+p.Flag)
	}
	for _, a := range p.Aliases {
		forms = append(forms, "--"+a)
	}
	if p.Number {
		forms = append([]string{"-<" + p.Placeholder() + ">"}, forms...)
	}
	s := strings.Join(forms, ", ")
	switch {
	case p.Kind == Bool:
	case p.HasBare:
		s += "[=<" + p.Placeholder() + ">]"
	default:
		s += " <" + p.Placeholder() + ">"
	}
	return s
}

// procedures are the names of procedures that are not those of their verbs, without prefix, and of verbs that work without a database but
// in SQL on one.
var procedures = map[string]string{"constraints verify": "verify_constraints", "config": "config", "clone": "clone"}

// Procedure is the name of the procedure that runs the verb in SQL, without the prefix dolt_ or stemma_; ok is false when it has none.
func (s *Spec) Procedure() (name string, ok bool) {
	if s.New == nil {
		return "", false
	}
	if name, other := procedures[s.Name]; other {
		return name, true
	}
	if s.Needs == NeedNothing {
		return "", false
	}
	return strings.NewReplacer(" ", "_", "-", "_").Replace(s.Name), true
}
