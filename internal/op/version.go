package op

import (
	"cmp"
	"context"
	"runtime"
	"runtime/debug"
	"strconv"
)

// DoltVersion is the release of Dolt whose words, layouts and SQL surface the name dolt keeps.
const DoltVersion = "2.3.1"

// FormatVersion is the newest version of the storage format that this program writes.
const FormatVersion = 1

// unknownVersion stands where a program does not know its own.
const unknownVersion = "unknown"

// versionColumns are the columns of what version answers.
var versionColumns = []Column{Text("name"), Text("value")}

// Version is the verb that tells the program's version.
type Version struct {
	Verbose bool `flag:"verbose,v" help:"tell the storage format, the Go release and the platform as well"`
	Feature bool `flag:"feature,f" help:"tell the version of the storage format as well"`
}

func versionSpec() Spec {
	return Define[Version](Spec{
		Name: "version", Columns: versionColumns, Group: GroupSelf, ReadOnly: true,
		Short:    "Show the version of this program",
		Examples: []Example{{"version", "the version alone"}, {"version --verbose", "what a bug report wants to know"}},
	})
}

// Run tells the version.
func (v *Version) Run(_ context.Context, s *Scope) (*Result, error) {
	r := &Result{Columns: versionColumns}
	add := func(line, name string, val any) {
		r.Printf("%s", line)
		r.Add(name, val)
	}
	version := cmp.Or(s.Version, unknownVersion)
	if s.Dolt {
		add("dolt version "+DoltVersion, "dolt", DoltVersion)
	} else {
		add("stemma version "+version, "stemma", version)
	}
	if v.Verbose {
		details(s, add)
	}
	if v.Feature {
		n := strconv.Itoa(FormatVersion)
		add("feature version: "+n, "feature", n)
	}
	return r, nil
}

// details adds what a bug report wants to know.
func details(s *Scope, add func(line, name string, val any)) {
	if s.Dolt {
		version := cmp.Or(s.Version, unknownVersion)
		add("stemma version "+version, "stemma", version)
	} else {
		add("compatible with dolt "+DoltVersion, "dolt", DoltVersion)
	}
	format := formatName()
	add("database storage format: "+format, "format", format)
	add("go: "+runtime.Version(), "go", runtime.Version())
	platform := runtime.GOOS + "/" + runtime.GOARCH
	add("platform: "+platform, "platform", platform)
	if rev := revision(); rev != "" {
		add("revision: "+rev, "revision", rev)
	}
}

func formatName() string { return "stemma/" + strconv.Itoa(FormatVersion) }

// revision is the commit that the program was built from, when the build knew it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
