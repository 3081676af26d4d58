package op

import (
	"context"
	"time"
)

// sample is a verb with a parameter of every kind.
type sample struct {
	Message string        `flag:"message,m" value:"text"`
	All     bool          `flag:"all,a"`
	Force   bool          `flag:"force,f"`
	Limit   int           `flag:"limit,n" number:"true" default:"-1"`
	Big     int64         `flag:"big"`
	Author  []string      `flag:"author"`
	Keys    []string      `flag:"pk" sep:"," default:"id"`
	Every   time.Duration `flag:"every"`
	Date    time.Time     `flag:"date"`
	Stat    string        `flag:"decorate" bare:"short" enum:"short,full,no"`
	Staged  bool          `flag:"staged" alias:"cached"`
	Mode    string        `flag:"diff-mode" enum:"row,line"`
	Ref     string        `arg:"1" default:"HEAD"`
	Second  string        `arg:"2"`
	Tables  []string      `arg:"rest"`
	Paths   []string      `arg:"dash"`
	Hidden  string        `flag:"secret" hidden:"true"`
	Other   int
}

func (*sample) Run(context.Context, *Scope) (*Result, error) { return nil, nil }

func sampleSpec() Spec { return Define[sample](Spec{Name: "sample"}) }

// strict is a verb that must be given something and takes no more.
type strict struct {
	Name string `arg:"1" required:"true"`
	Yes  bool   `flag:",y"`
}

func (*strict) Run(context.Context, *Scope) (*Result, error) { return nil, nil }

func strictSpec() Spec { return Define[strict](Spec{Name: "strict"}) }
