package op

import (
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// Target is a struct that takes arguments.
type Target struct {
	Params []Param // what ParamsOf gave
	Dest   any     // pointer to the struct
}

// BindArgs makes the op that argv asks for: the words behind the verb's name on a command line, or the string arguments of a CALL.
// Errors are of class Invalid and name the flag.
func BindArgs(s Spec, argv []string) (Op, error) {
	if s.New == nil {
		return nil, errs.New(errs.Invalid, "%s: a subcommand is missing", s.Name)
	}
	o := s.New()
	if err := ParseArgs(s.Name, argv, Target{s.Params, o}); err != nil {
		return nil, err
	}
	if err := s.Check(o); err != nil {
		return nil, err
	}
	return o, nil
}

// ParseArgs reads argv into the targets; verb begins the error messages. Its rules are those of git and of POSIX:
//
//	--flag value, --flag=value        long; a bool, or a flag with a bare value, takes no following word
//	-f value, -fvalue, -f=value       short; letters that take no value may be joined: -am text
//	-5                                the parameter marked as a number; an argument when there is none
//	-                                 an argument
//	--                                all that follows are arguments (of the AfterDash parameter if there is one)
//	anything else                     an argument; flags and arguments may be mixed
//
// A flag that several targets declare is set in each, the first deciding its kind. Arguments go to the first target only.
// Required parameters are not checked here: see Spec.Check.
func ParseArgs(verb string, argv []string, targets ...Target) error {
	p := parser{verb: verb, argv: argv, targets: targets, given: map[*Param]bool{}}
	for p.at < len(p.argv) {
		if err := p.next(); err != nil {
			return err
		}
	}
	return p.arguments()
}

// ParseLeading reads the flags at the beginning of argv into the target and returns what follows the last of them: the words from
// the first argument on. It is how flags before a verb's name are read.
func ParseLeading(program string, argv []string, target Target) ([]string, error) {
	p := parser{verb: program, argv: argv, targets: []Target{target}, given: map[*Param]bool{}}
	for p.at < len(argv) {
		if w := argv[p.at]; len(w) < 2 || w[0] != '-' || w == "--" {
			break
		}
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	return argv[p.at:], nil
}

type parser struct {
	verb    string
	argv    []string
	at      int
	targets []Target
	args    []string        // arguments before "--"
	dashed  []string        // arguments behind it
	given   map[*Param]bool // flags seen, so that a list is not added to its default
}

// next reads one word, and the value behind it where it is a flag that wants one.
func (p *parser) next() error {
	w := p.argv[p.at]
	p.at++
	switch {
	case w == "--":
		p.dashed = append([]string{}, p.argv[p.at:]...)
		p.at = len(p.argv)
		return nil
	case len(w) < 2 || w[0] != '-':
		p.args = append(p.args, w)
		return nil
	case w[1] == '-':
		return p.long(w[2:])
	case isNumber(w[1:]) && p.find(func(q *Param) bool { return q.Short == w[1:2] }) == nil:
		if n := p.find(func(q *Param) bool { return q.Number }); n != nil {
			return p.set(n, w[1:])
		}
		p.args = append(p.args, w)
		return nil
	}
	if name, _, _ := strings.Cut(w[1:], "="); len(name) == 2 && p.find(func(q *Param) bool { return slices.Contains(q.longs(), name) }) != nil {
		return p.long(w[1:]) // Dolt's -pk and -fn
	}
	return p.shorts(w[1:])
}

func (p *parser) long(w string) error {
	name, val, hasVal := strings.Cut(w, "=")
	q := p.find(func(q *Param) bool { return slices.Contains(q.longs(), name) })
	switch {
	case q == nil:
		return p.unknown("--" + name)
	case hasVal:
		return p.set(q, val)
	case q.HasBare:
		return p.set(q, q.Bare)
	}
	return p.setNext(q)
}

func (p *parser) shorts(w string) error {
	for i := 0; i < len(w); i++ {
		q := p.find(func(q *Param) bool { return q.Short == w[i:i+1] })
		rest := w[i+1:]
		switch {
		case q == nil:
			return p.unknownShort(w, i)
		case strings.HasPrefix(rest, "="):
			return p.set(q, rest[1:])
		case q.Kind == Bool || q.HasBare && rest == "":
			if err := p.set(q, q.Bare); err != nil {
				return err
			}
		case rest != "":
			return p.set(q, rest)
		default:
			return p.setNext(q)
		}
	}
	return nil
}

// setNext gives q the next word as its value, whatever it looks like.
func (p *parser) setNext(q *Param) error {
	if p.at == len(p.argv) {
		return errs.New(errs.Invalid, "%s: %s needs a value: %s <%s>", p.verb, q.Shown(), q.Shown(), q.Placeholder())
	}
	p.at++
	return p.set(q, p.argv[p.at-1])
}

// set gives q, and its namesakes in other targets that take it, a value: what a verb's own flag takes may be more.
func (p *parser) set(q *Param, val string) error {
	for _, t := range p.targets {
		for i := range t.Params {
			r := &t.Params[i]
			if r != q && (q.Flag == "" || r.Flag != q.Flag || r.Kind != q.Kind) {
				continue
			}
			if err := r.set(t.Dest, val, p.given[r]); err != nil {
				if r != q {
					continue
				}
				return errs.With(errs.Invalid, prefixed(p.verb, err))
			}
			p.given[r] = true
		}
	}
	return nil
}

// find is the first parameter that match accepts, in the order of the targets; nil when there is none.
func (p *parser) find(match func(*Param) bool) *Param {
	for _, t := range p.targets {
		for i := range t.Params {
			if q := &t.Params[i]; match(q) {
				return q
			}
		}
	}
	return nil
}

func (p *parser) unknown(flag string) error {
	var names []string
	for _, t := range p.targets {
		for i := range t.Params {
			if q := &t.Params[i]; !q.Hidden {
				for _, l := range q.longs() {
					names = append(names, "--"+l)
				}
			}
		}
	}
	return offering(errs.Invalid, errs.Nearest(flag, names), "%s: unknown flag %s", p.verb, flag)
}

// unknownShort is the error for the letter at w[i]; a word that is a long flag with one dash too few is named as such.
func (p *parser) unknownShort(w string, i int) error {
	name, _, _ := strings.Cut(w, "=")
	if q := p.find(func(q *Param) bool { return slices.Contains(q.longs(), name) }); q != nil && len(name) > 1 {
		return errs.New(errs.Invalid, "%s: unknown flag -%s%s", p.verb, name, errs.DidYouMean([]string{"--" + name}))
	}
	letter := w[i:]
	for j := range letter {
		if j > 0 {
			letter = letter[:j]
			break
		}
	}
	if len(w) > len(letter) {
		return errs.New(errs.Invalid, "%s: unknown flag -%s in -%s", p.verb, letter, w)
	}
	return errs.New(errs.Invalid, "%s: unknown flag -%s", p.verb, letter)
}

// arguments hands the arguments to the first target's parameters.
func (p *parser) arguments() error {
	if len(p.targets) == 0 {
		return nil
	}
	t := p.targets[0]
	var rest, dash *Param
	numbered := map[int]*Param{}
	for i := range t.Params {
		switch q := &t.Params[i]; {
		case q.Arg == RestArgs:
			rest = q
		case q.Arg == AfterDash:
			dash = q
		case q.Arg > 0:
			numbered[q.Arg] = q
		}
	}
	args := p.args
	if dash != nil {
		if len(p.dashed) > 0 {
			if err := p.fill(dash, t.Dest, p.dashed); err != nil {
				return err
			}
		}
	} else {
		args = append(args, p.dashed...)
	}
	n := 0
	for n < len(args) && numbered[n+1] != nil {
		if err := numbered[n+1].set(t.Dest, args[n], false); err != nil {
			return errs.With(errs.Invalid, prefixed(p.verb, err))
		}
		n++
	}
	if n == len(args) {
		return nil
	}
	if rest != nil {
		return p.fill(rest, t.Dest, args[n:])
	}
	if n == 0 {
		return errs.New(errs.Invalid, "%s: takes no arguments, but was given %s", p.verb, quoteAll(args))
	}
	return errs.New(errs.Invalid, "%s: takes %s, but was given %d: %s", p.verb, atMost(n), len(args), quoteAll(args))
}

func (p *parser) fill(q *Param, dest any, vals []string) error {
	for _, v := range vals {
		if err := q.set(dest, v, p.given[q]); err != nil {
			return errs.With(errs.Invalid, prefixed(p.verb, err))
		}
		p.given[q] = true
	}
	return nil
}
