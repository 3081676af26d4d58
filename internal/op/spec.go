package op

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Op is a verb with its parameters set.
type Op interface {
	// Run does the work. A nil Result is an empty one. A cancelled ctx ends it with an error of class Canceled.
	Run(ctx context.Context, s *Scope) (*Result, error)
}

// Reader is a verb that only reads with some of its parameters, though its Spec is not ReadOnly: branch lists branches as well.
type Reader interface {
	// Reads tells whether the verb, as its parameters are, changes nothing that is stored.
	Reads() bool
}

// Reads tells whether a verb changes nothing that is stored.
func (s *Spec) Reads(o Op) bool {
	r, ok := o.(Reader)
	return s.ReadOnly || ok && r.Reads()
}

// Closed is a verb that with some of its parameters works on the files of a database that is not open, since it cannot be.
type Closed interface {
	// Closed tells whether the verb, as its parameters are, wants Scope.Repo to be nil.
	Closed() bool
}

// Anywhere is a verb that with some of its parameters works without a database.
type Anywhere interface {
	// Anywhere tells whether the verb, as its parameters are, does without Scope.Repo.
	Anywhere() bool
}

// Need says what a verb must be given in its Scope.
type Need uint8

// The needs.
const (
	NeedNothing  Need = iota // works anywhere
	NeedDatabase             // works on the database of Scope.Dir
	NeedServer               // works on the databases of a server, for whose administrators it is; SQL offers it, the command line does not
)

// Spec describes a verb to every edge: the command line, SQL, HTTP, documentation.
type Spec struct {
	Name     string    // one word, or two with one space between: "commit", "table import"
	Group    string    // heading under which help lists it
	Short    string    // one line, no full stop, as git's
	Long     string    // paragraphs for the help page; may be empty
	Usage    []string  // synopsis lines without the name; nil derives one from Params
	Examples []Example // for the help page; tests run them
	Params   []Param   // in the order of the struct's fields
	Columns  []Column  // of its rows, when these are always the same; nil otherwise. It may also answer without rows
	ReadOnly bool      // changes nothing that is stored
	Signs    bool      // makes objects that have an author: commits, tags
	Bulk     bool      // changes tables only, in transactions, and is much work: it can be done beside the owner of the database
	Needs    Need      // what the Scope must hold
	Call     []string  // further names of the procedure that runs it in SQL, without prefix
	Hidden   bool      // left out of lists
	Admin    bool      // reaches beyond the databases, by the rights and credentials of the process: in SQL it is for administrators
	New      func() Op // a fresh op with its defaults set; nil for a name that only gathers subcommands
}

// Example is a command line without the program's name, and what it is for.
type Example struct {
	Args string
	Help string
}

// Kind is the type of a parameter.
type Kind uint8

// The kinds, with the Go types of their fields.
const (
	Bool     Kind = iota + 1 // bool
	Int                      // int or int64
	String                   // string
	Strings                  // []string
	Duration                 // time.Duration: Go's notation and whole days, "36h", "14d"
	Time                     // time.Time: see ParseTime
)

var kindNames = [...]string{Bool: "bool", Int: "int", String: "string", Strings: "strings", Duration: "duration", Time: "time"}

// String is the kind's name in documentation.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k != 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Values of Param.Arg that are not a position.
const (
	NotArg    = 0  // a flag only
	RestArgs  = -1 // all arguments behind the numbered ones
	AfterDash = -2 // all arguments behind "--"; without such a parameter these count as ordinary arguments
)

// Param is one parameter of a verb. The struct tags that make it are in parentheses.
type Param struct {
	Name     string   // key in JSON and Python: the flag with _ for -, or the field's name in lower case (name:"…")
	Flag     string   // long flag without dashes; "" when the parameter has none (flag:"long,s")
	Short    string   // one-letter flag; "" when there is none
	Aliases  []string // other long flags that mean the same (alias:"a,b")
	Kind     Kind     // from the field's type
	Default  string   // in the notation of a flag's value; "" is the zero value (default:"…")
	Bare     string   // the value when the flag stands without one, as in --decorate (bare:"…")
	HasBare  bool     // whether the flag may stand without a value
	Value    string   // what help calls the value (value:"…")
	Help     string   // one phrase (help:"…")
	Arg      int      // position from 1, RestArgs, AfterDash or NotArg (arg:"1", arg:"rest", arg:"dash")
	Required bool     // must not be empty (required:"true")
	Enum     []string // the only values allowed (enum:"a,b")
	Sep      string   // splits one value of kind Strings into many (sep:",")
	Number   bool     // -5 means this parameter with value 5, as in git log -5 (number:"true")
	Least    int64    // the smallest value of kind Int, or the fewest bytes of one of kind String, that may be given; the default may be below it and then means none (least:"0")
	HasLeast bool     // whether there is one
	Hidden   bool     // left out of help and completion (hidden:"true")
	DoltOnly bool     // left out of help and completion unless the program is called dolt (dolt:"only")
	Complete string   // what the shell completes: "branch", "table", "remote", "ref", "file", … (complete:"…")

	field int
}

// Define completes a Spec from the tags of T's fields: Params and New. It panics on tags that make no sense, which are constants
// of the program; the package's tests define every verb.
func Define[T any, P interface {
	*T
	Op
}](s Spec) Spec {
	params, err := ParamsOf((*T)(nil))
	if err != nil {
		panic(fmt.Sprintf("define %s: %v", s.Name, err))
	}
	s.Params = params
	s.New = func() Op {
		o := P(new(T))
		if err := SetDefaults(params, o); err != nil {
			panic(fmt.Sprintf("define %s: %v", s.Name, err))
		}
		return o
	}
	s.New() // an unreadable default is found here, not by a user
	return s
}

// ParamsOf reads the parameters that the tags of a struct declare; ptr is a pointer to it, which may be nil. Fields with neither
// a flag nor an arg tag are not parameters.
func ParamsOf(ptr any) ([]Param, error) {
	t := reflect.TypeOf(ptr)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("read parameters of %T: not a pointer to a struct", ptr)
	}
	t = t.Elem()
	var params []Param
	taken := map[claim]string{} // by which field
	for i := range t.NumField() {
		f := t.Field(i)
		p, ok, err := paramOf(f)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		if !ok {
			continue
		}
		p.field = i
		claims := append(make([]claim, 0, 6), claim{"the name ", p.Name})
		if p.Short != "" {
			claims = append(claims, claim{"the flag -", p.Short})
		}
		for _, l := range p.longs() {
			claims = append(claims, claim{"the flag --", l})
		}
		if p.Arg != NotArg {
			claims = append(claims, claim{"the place of argument ", strconv.Itoa(p.Arg)})
		}
		if p.Number {
			claims = append(claims, claim{"the flag ", "-<number>"})
		}
		for _, c := range claims {
			if other, ok := taken[c]; ok {
				return nil, fmt.Errorf("field %s: %s%s belongs to %s already", f.Name, c.what, c.name, other)
			}
			taken[c] = f.Name
		}
		params = append(params, p)
	}
	return params, nil
}

// claim is what only one parameter of a verb can have.
type claim struct{ what, name string }

// longs are all long flags of p.
func (p *Param) longs() []string {
	if p.Flag == "" {
		return nil
	}
	return append([]string{p.Flag}, p.Aliases...)
}

// Shown is how messages name the parameter: "--message", "-m" when there is only that, or "<name>" for an argument.
func (p *Param) Shown() string {
	switch {
	case p.Flag != "":
		return "--" + p.Flag
	case p.Short != "":
		return "-" + p.Short
	}
	return "<" + p.Placeholder() + ">"
}

// Placeholder is what help calls the parameter's value.
func (p *Param) Placeholder() string {
	switch {
	case p.Value != "":
		return p.Value
	case len(p.Enum) > 0:
		return strings.Join(p.Enum, "|")
	case p.Flag == "" && p.Short == "":
		return strings.ReplaceAll(p.Name, "_", "-")
	case p.Kind == Int:
		return "n"
	}
	return strings.ReplaceAll(p.Name, "_", "-")
}

func paramOf(f reflect.StructField) (Param, bool, error) {
	tags := tagsOf(f.Tag)
	flag, isFlag := tags.lookup("flag")
	arg, isArg := tags.lookup("arg")
	if !isFlag && !isArg {
		return Param{}, false, nil
	}
	if !f.IsExported() {
		return Param{}, false, fmt.Errorf("a parameter's field must be exported")
	}
	p := Param{
		Default: tags.get("default"), Value: tags.get("value"), Help: tags.get("help"), Sep: tags.get("sep"),
		Complete: tags.get("complete"), Aliases: list(tags.get("alias")), Enum: list(tags.get("enum")),
	}
	p.Bare, p.HasBare = tags.lookup("bare")
	for _, x := range [...]struct {
		tag string
		dst *bool
	}{{"required", &p.Required}, {"number", &p.Number}, {"hidden", &p.Hidden}} {
		if s, ok := tags.lookup(x.tag); ok {
			if s != "true" {
				return p, false, fmt.Errorf("tag %s: want true, have %q", x.tag, s)
			}
			*x.dst = true
		}
	}
	p.DoltOnly = tags.get("dolt") == "only"
	if text, ok := tags.lookup("least"); ok {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return p, false, fmt.Errorf("tag least:%q: want a whole number", text)
		}
		p.Least, p.HasLeast = n, true
	}
	if isFlag {
		p.Flag, p.Short, _ = strings.Cut(flag, ",")
		if len(p.Short) > 1 || p.Flag == "" && p.Short == "" || strings.HasPrefix(p.Flag, "-") || p.Short == "-" {
			return p, false, fmt.Errorf("tag flag:%q: want a long name, a letter or both", flag)
		}
	}
	if isArg {
		switch arg {
		case "rest":
			p.Arg = RestArgs
		case "dash":
			p.Arg = AfterDash
		default:
			n, err := strconv.Atoi(arg)
			if err != nil || n < 1 {
				return p, false, fmt.Errorf("tag arg:%q: want a position from 1, rest or dash", arg)
			}
			p.Arg = n
		}
	}
	switch reflect.Zero(f.Type).Interface().(type) {
	case bool:
		p.Kind, p.Bare, p.HasBare = Bool, "true", true
	case int, int64:
		p.Kind = Int
	case string:
		p.Kind = String
	case []string:
		p.Kind = Strings
	case time.Duration:
		p.Kind = Duration
	case time.Time:
		p.Kind = Time
	default:
		return p, false, fmt.Errorf("type %s cannot be a parameter", f.Type)
	}
	switch {
	case p.Arg < 0 && p.Kind != Strings:
		return p, false, fmt.Errorf("many arguments need a []string")
	case p.Number && p.Kind != Int || p.HasLeast && p.Kind != Int && p.Kind != String:
		return p, false, fmt.Errorf("tag number needs an int, least an int or a string")
	case p.Sep != "" && p.Kind != Strings:
		return p, false, fmt.Errorf("tag sep needs a []string")
	case p.Required && p.Default != "":
		return p, false, fmt.Errorf("a default makes required void")
	case p.HasBare && p.Flag == "" && p.Short == "":
		return p, false, fmt.Errorf("only a flag can stand without a value")
	}
	switch name := tags.get("name"); {
	case name != "":
		p.Name = name
	case p.Flag != "":
		p.Name = strings.ReplaceAll(p.Flag, "-", "_")
	default:
		p.Name = snake(f.Name)
	}
	return p, true, nil
}

// tags are the keys and values of a field's tag. A program defines all its verbs whenever it starts: reflect's Lookup would read a tag anew for
// each of fifteen keys.
type tags []struct{ key, value string }

// tagsOf reads a tag as reflect.StructTag.Lookup does: it ends at what is not key:"value".
func tagsOf(t reflect.StructTag) tags {
	out := make(tags, 0, 8)
	for rest := string(t); ; {
		rest = strings.TrimLeft(rest, " ")
		key, quoted, ok := strings.Cut(rest, ":")
		if !ok || key == "" {
			return out
		}
		literal, err := strconv.QuotedPrefix(quoted)
		if err != nil {
			return out
		}
		value, err := strconv.Unquote(literal)
		if err != nil {
			return out
		}
		out = append(out, struct{ key, value string }{key, value})
		rest = quoted[len(literal):]
	}
}

// lookup is a key's value, if it is there.
func (t tags) lookup(key string) (string, bool) {
	for _, x := range t {
		if x.key == key {
			return x.value, true
		}
	}
	return "", false
}

// get is a key's value, "" when it is not there.
func (t tags) get(key string) string {
	value, _ := t.lookup(key)
	return value
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// snake is the name of a Go field in lower case with underscores between its words.
func snake(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			if i > 0 && (s[i-1] < 'A' || s[i-1] > 'Z') {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// Find is the spec of the given name.
func Find(specs []Spec, name string) (Spec, bool) {
	i := slices.IndexFunc(specs, func(s Spec) bool { return s.Name == name })
	if i < 0 {
		return Spec{}, false
	}
	return specs[i], true
}

// Words are the words of the verb's name.
func (s *Spec) Words() []string { return strings.Split(s.Name, " ") }
