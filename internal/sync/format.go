package sync

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
)

// Names of objects.
const (
	MarkerName = "stemma-remote"
	packsDir   = "packs/"
	listsDir   = "lists/"
	refsDir    = "refs/"
	changesDir = "changes/"
)

// The beginnings of names of refs.
const (
	Heads = "heads/"
	Tags  = "tags/"
	// Work begins the refs of a backup that hold working sets, by branch: a commit with the working root, after one with the staged root, after
	// the branch's head.
	Work = "work/"
	// Stashes begins the refs of a database that is worked on at the remote that hold its lists of stashes, by the list's name: a commit that tells
	// of the newest, after the commit on which that was made and the one that tells of the next.
	Stashes = "stashes/"
)

// kinds are the beginnings of names of refs.
func kinds() []string { return []string{Heads, Tags, Work, Stashes} }

// Lineage is the ref that holds what is known of runs, in commits of their tables. Each database that has it joins it with its own.
const Lineage = "lineage"

// marker is the content of the object that makes a place a remote: which programs may use it. Its words are those of a database's FORMAT.
const marker = "stemma remote\nversion 1\nrequired pack-1 page-2 sha256 weights-2\nread-only\noptional\n"

// dictionaryMarker is the marker of a remote that has packs with dictionaries.
const dictionaryMarker = "stemma remote\nversion 1\nrequired dictionary-1 pack-1 page-2 sha256 weights-2\nread-only\noptional\n"

// stripedMarker is the marker of a remote that may have striped packs.
const stripedMarker = "stemma remote\nversion 1\nrequired pack-1 page-2 sha256 " + stripesFeature + " weights-2\nread-only\noptional\n"

const stripesFeature = "stripes-1"

// checkMarker reports why this program cannot use the remote with that marker, and tells whether it may have striped packs. A marker that is not whole is an error
// of class Corrupt, but of class TooNew where what is there of it asks for something that this program does not know.
func checkMarker(data []byte, url string) (striped bool, err error) {
	known := map[string]bool{"dictionary-1": true, "pack-1": true, "page-2": true, "sha256": true, stripesFeature: true, "weights-2": true}
	words := map[string]bool{}
	for n, line := range strings.SplitAfter(string(data), "\n") {
		text, whole := strings.CutSuffix(line, "\n")
		if n == 0 {
			if text != "stemma remote" || !whole {
				return false, errs.New(errs.Corrupt, "the object %s of the remote %s, which says what it is, does not begin as it should", MarkerName, url)
			}
			continue
		}
		word, rest, _ := strings.Cut(text, " ")
		if !whole {
			rest = rest[:strings.LastIndexByte(rest, ' ')+1] // the last word may be a part of one
		} else {
			words[word] = true
		}
		switch word {
		case "version":
			if whole && rest != "1" {
				return false, errs.New(errs.TooNew, "the remote %s has format version %q, and this program knows 1; use a newer stemma", url, rest)
			}
		case "required", "read-only":
			for _, f := range strings.Fields(rest) {
				striped = striped || f == stripesFeature
				if !known[f] {
					return false, errs.New(errs.TooNew, "the remote %s needs %q, which this program does not know; use a newer stemma", url, f)
				}
			}
		}
	}
	if !words["version"] || !words["required"] || !words["optional"] || data[len(data)-1] != '\n' { // "optional" is its last line
		return false, errs.New(errs.Corrupt, "the object %s of the remote %s, which says what it is, is cut short", MarkerName, url)
	}
	return striped, nil
}

// markerLeft tells whether data is what is left of a marker that this program may have made, so that nothing is lost when it is made again.
func markerLeft(data []byte) bool {
	return slices.ContainsFunc([]string{marker, dictionaryMarker, stripedMarker}, func(m string) bool { return strings.HasPrefix(m, string(data)) })
}

// refPiece is the length at which the part of an object's name that stands for a ref is cut: file systems bound the names of files.
const refPiece = 200

// cut is where such a part was cut. No escape looks like it, so what comes before is never an object itself.
const cut = "%/"

// escape makes the last part of an object's name of the name of a branch or tag. The slash is escaped since a removed ref is an object
// still, in whose place no directory can be; upper case, since not every store tells cases apart.
func escape(name string) string {
	var b strings.Builder
	n := 0 // of the piece
	for _, c := range []byte(name) {
		if n >= refPiece {
			b.WriteString(cut)
			n = 0
		}
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && n > 0:
			b.WriteByte(c)
			n++
		default:
			fmt.Fprintf(&b, "%%%02x", c)
			n += 3
		}
	}
	return b.String()
}

// refObject is the name of the object of a ref.
func refObject(name string) string {
	for _, kind := range kinds() {
		if rest, ok := strings.CutPrefix(name, kind); ok {
			return refsDir + kind + escape(rest)
		}
	}
	return refsDir + escape(name)
}

// refNamed is the ref whose object has that name. An object that no ref can have is an error of class Invalid, whose text quotes the name.
func refNamed(object string) (name string, err error) {
	bad := func(err error) (string, error) {
		return "", errs.New(errs.Invalid, "the remote has an object %q, which is no ref: %w", object, err)
	}
	if object == refsDir+Lineage {
		return Lineage, nil
	}
	for _, kind := range kinds() {
		rest, ok := strings.CutPrefix(object, refsDir+kind)
		if !ok {
			continue
		}
		if rest, err = unescape(rest); err != nil {
			return bad(err)
		}
		if name = kind + rest; refObject(name) != object {
			return bad(errors.New("it is not written as names are"))
		}
		if err := CheckRef(name); err != nil {
			return bad(err)
		}
		return name, nil
	}
	return bad(errors.New("it is neither a branch nor a tag"))
}

// CheckRef reports why name, heads/…, tags/…, work/…, stashes/… or Lineage, cannot be a ref of a remote.
func CheckRef(name string) error {
	if name == Lineage {
		return nil
	}
	if rest, ok := strings.CutPrefix(name, Stashes); ok { // lists have any names
		if rest == "" || !utf8.ValidString(rest) {
			return errs.New(errs.Invalid, "%q cannot be the name of a list of stashes in a bucket", rest)
		}
		return nil
	}
	for _, kind := range kinds() {
		if rest, ok := strings.CutPrefix(name, kind); ok {
			return history.CheckRefName(rest)
		}
	}
	return errs.New(errs.Invalid, "%q is neither a branch nor a tag", name)
}

// unescape is the inverse of escape.
func unescape(name string) (string, error) {
	name = strings.ReplaceAll(name, cut, "")
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b.WriteByte(name[i])
			continue
		}
		if i+3 > len(name) {
			return "", errs.New(errs.Corrupt, "it ends within an escape")
		}
		n, err := strconv.ParseUint(name[i+1:i+3], 16, 8)
		if err != nil {
			return "", errs.New(errs.Corrupt, "it has a bad escape")
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), nil
}

// Target is what a ref means. The zero Target is no ref.
type Target struct {
	Commit history.CommitID
	Tag    hash.Hash // of a tag's object; zero for a branch
	List   hash.Hash // of the list of packs
}

// IsZero tells whether the ref is not there.
func (t Target) IsZero() bool { return t == Target{} }

// value is the content of a ref's object.
type value struct {
	Target
	change string // id of a change of several refs that is under way or was not tidied up; "" for none
	next   Target // with change: what the ref is when that is committed
	nonce  string // makes values different that are otherwise the same

	// Of the refs of a database that is worked on where it is (K1).
	kept     bool             // it is one
	work     history.CommitID // its uncommitted changes, as Work holds them in a backup; zero for none
	nextWork history.CommitID // with change
	open     Unfinished       // what is in progress on the branch
	nextOpen Unfinished       // with change
	was      []string         // nonces of the values before, oldest first, the last wasMost of them

	// runs is what the ref tells of runs that Lineage may lack (K3): a commit of their tables, without parents; zero for nothing. It stays where the ref
	// is removed.
	runs     Target
	nextRuns Target // with change

	wrote     []Wrote // notes of the branch's last writes, oldest first; they stay where the ref is removed
	nextWrote []Wrote // with change
}

// Unfinished is what is in progress on a branch of a database that is worked on at the remote: chunks, which its list has packs of, with all that they
// name.
type Unfinished struct {
	Merge  hash.Hash // a history.Merge; zero for none
	Rebase hash.Hash // a history.Rebase; zero for none
}

// IsZero tells whether nothing is in progress.
func (o Unfinished) IsZero() bool { return o == Unfinished{} }

// Wrote is the note of a write that its client may ask for again: an id of the client's choice, and what it was answered.
type Wrote struct{ ID, Result string }

// The bounds of what a ref notes of writes: how many, and how long they are together and how long one is, in bytes.
const (
	wroteMost   = 64
	wroteLength = 16 << 10
	oneWrote    = 24 << 10
)

// Noting is notes with others behind them, which stand over those of the same id, as a ref keeps them: all of the others, since their writes are
// acknowledged with it, and of the old what is within the bounds, or all where there are no others. One that is too long is an error of class Unsupported.
func Noting(old, more []Wrote) ([]Wrote, error) {
	if len(more) == 0 {
		return old, nil
	}
	out := slices.DeleteFunc(slices.Clone(old), func(x Wrote) bool {
		return slices.ContainsFunc(more, func(m Wrote) bool { return m.ID == x.ID })
	})
	out = append(out, more...)
	length := 0
	for i, x := range slices.Backward(out) {
		n := len(x.ID) + len(x.Result)
		if n > oneWrote {
			return nil, errs.New(errs.Unsupported, "what is to be kept with the id of the write has %d bytes, and in a bucket %d are kept at most: write to fewer branches at once", n, oneWrote)
		}
		if length += n; i < len(out)-len(more) && (len(out)-i > wroteMost || length > wroteLength) {
			return slices.Clone(out[i+1:]), nil
		}
	}
	return out, nil
}

// wasMost is how many nonces of earlier values a ref keeps.
const wasMost = 64

// The first lines of a ref's object. A program that does not know of uncommitted changes in it must not replace one.
const (
	refWords     = "stemma ref 1"
	keptRefWords = "stemma ref 2"
	toldRefWords = "stemma ref 3" // and one that does not know of runs and writes neither
	openRefWords = "stemma ref 4" // and one that does not know of merges and rebases in progress, or of stashes, neither
)

func (v value) encode(name string) []byte {
	var b bytes.Buffer
	switch {
	case strings.HasPrefix(name, Stashes) || !v.open.IsZero() || v.change != "" && !v.nextOpen.IsZero():
		fmt.Fprintln(&b, openRefWords)
	case !v.runs.IsZero() || len(v.wrote) > 0 || v.change != "" && (!v.nextRuns.IsZero() || len(v.nextWrote) > 0):
		fmt.Fprintln(&b, toldRefWords)
	case v.kept:
		fmt.Fprintln(&b, keptRefWords)
	default:
		fmt.Fprintln(&b, refWords)
	}
	work := func(prefix string, id history.CommitID) {
		if !id.IsZero() {
			fmt.Fprintf(&b, "%swork %s\n", prefix, id.Full())
		}
	}
	open := func(prefix string, o Unfinished) {
		if !o.Merge.IsZero() {
			fmt.Fprintf(&b, "%smerge %s\n", prefix, o.Merge.Full())
		}
		if !o.Rebase.IsZero() {
			fmt.Fprintf(&b, "%srebase %s\n", prefix, o.Rebase.Full())
		}
	}
	target := func(prefix string, t Target) {
		if !t.Commit.IsZero() {
			fmt.Fprintf(&b, "%scommit %s\n", prefix, t.Commit.Full())
		}
		if !t.Tag.IsZero() {
			fmt.Fprintf(&b, "%stag %s\n", prefix, t.Tag.Full())
		}
		if !t.List.IsZero() {
			fmt.Fprintf(&b, "%slist %s\n", prefix, t.List.Full())
		}
	}
	runs := func(prefix string, t Target) {
		if !t.IsZero() {
			fmt.Fprintf(&b, "%sruns %s\n%sruns-list %s\n", prefix, t.Commit.Full(), prefix, t.List.Full())
		}
	}
	wrote := func(prefix string, notes []Wrote) {
		for _, x := range notes {
			fmt.Fprintf(&b, "%swrote %s.%s\n", prefix, wroteText.EncodeToString([]byte(x.ID)), wroteText.EncodeToString([]byte(x.Result)))
		}
	}
	target("", v.Target)
	work("", v.work)
	open("", v.open)
	runs("", v.runs)
	wrote("", v.wrote)
	if v.change != "" {
		fmt.Fprintf(&b, "change %s\n", v.change)
		target("next-", v.next)
		work("next-", v.nextWork)
		open("next-", v.nextOpen)
		runs("next-", v.nextRuns)
		wrote("next-", v.nextWrote)
	}
	if len(v.was) > 0 {
		fmt.Fprintf(&b, "was %s\n", strings.Join(v.was, " "))
	}
	fmt.Fprintf(&b, "nonce %s\n", v.nonce)
	return b.Bytes()
}

// isID tells whether text can be the id of a change, which is a part of an object's name.
func isID(text string) bool {
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, func(c rune) bool { return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9') })
}

// decodeValue reads what encode gives; name is the ref's.
func decodeValue(data []byte, name string) (value, error) {
	var v value
	bad := func(why string) (value, error) {
		return value{}, errs.New(errs.Corrupt, "read the ref %s of the remote: %s", name, why)
	}
	sc := bufio.NewScanner(bytes.NewReader(data))
	if !sc.Scan() || sc.Text() != refWords && sc.Text() != keptRefWords && sc.Text() != toldRefWords && sc.Text() != openRefWords {
		if strings.HasPrefix(sc.Text(), "stemma ref ") {
			return value{}, errs.New(errs.TooNew, "read the ref %s of the remote: it was written by a newer stemma; use one", name)
		}
		return bad("it does not begin as it should")
	}
	opens := sc.Text() == openRefWords
	tells := opens || sc.Text() == toldRefWords
	v.kept = tells || sc.Text() == keptRefWords
	for sc.Scan() {
		word, rest, _ := strings.Cut(sc.Text(), " ")
		var to *hash.Hash
		plain := strings.TrimPrefix(word, "next-")
		told := strings.HasPrefix(plain, "runs") || plain == "wrote"
		if !v.kept && (word == "work" || word == "next-work" || word == "was") || !tells && told || !opens && (plain == "merge" || plain == "rebase") {
			return bad(fmt.Sprintf("it has the unknown word %q", word))
		}
		switch word {
		case "work":
			to = &v.work
		case "next-work":
			to = &v.nextWork
		case "merge":
			to = &v.open.Merge
		case "rebase":
			to = &v.open.Rebase
		case "next-merge":
			to = &v.nextOpen.Merge
		case "next-rebase":
			to = &v.nextOpen.Rebase
		case "was":
			if v.was = strings.Fields(rest); len(v.was) > wasMost {
				return bad("it says too much of what it was")
			}
			continue
		case "runs":
			to = &v.runs.Commit
		case "runs-list":
			to = &v.runs.List
		case "next-runs":
			to = &v.nextRuns.Commit
		case "next-runs-list":
			to = &v.nextRuns.List
		case "wrote", "next-wrote":
			x, err := decodeWrote(rest)
			if err != nil {
				return bad("its note of a write cannot be understood")
			}
			if word == "wrote" {
				v.wrote = append(v.wrote, x)
			} else {
				v.nextWrote = append(v.nextWrote, x)
			}
			continue
		case "commit":
			to = &v.Commit
		case "tag":
			to = &v.Tag
		case "list":
			to = &v.List
		case "next-commit":
			to = &v.next.Commit
		case "next-tag":
			to = &v.next.Tag
		case "next-list":
			to = &v.next.List
		case "change":
			if !isID(rest) {
				return bad("its change has an id that is none")
			}
			v.change = rest
			continue
		case "nonce":
			v.nonce = rest
			continue
		default:
			return bad(fmt.Sprintf("it has the unknown word %q", word))
		}
		h, err := hash.Parse(rest)
		if err != nil {
			return bad("its " + word + " is no hash")
		}
		*to = h
	}
	if v.nonce == "" { // the last line: without it the object was cut
		return bad("it is cut short")
	}
	for _, t := range []Target{v.Target, v.next} {
		if t.Commit.IsZero() != t.List.IsZero() || t.Commit.IsZero() && !t.Tag.IsZero() {
			return bad("it names a commit without a list of packs, or a list without a commit")
		}
		if !t.IsZero() && t.Tag.IsZero() == strings.HasPrefix(name, Tags) {
			return bad("it is a tag without an object, or a branch with one")
		}
	}
	for _, t := range []Target{v.runs, v.nextRuns} {
		if t.Commit.IsZero() != t.List.IsZero() || !t.IsZero() && !strings.HasPrefix(name, Heads) {
			return bad("it tells of runs without a list of packs, or is no branch")
		}
	}
	if len(v.wrote)+len(v.nextWrote) > 0 && !strings.HasPrefix(name, Heads) {
		return bad("it has notes of writes and is no branch")
	}
	if (!v.work.IsZero() || !v.nextWork.IsZero()) && !strings.HasPrefix(name, Heads) ||
		!v.work.IsZero() && v.Commit.IsZero() || !v.nextWork.IsZero() && v.next.Commit.IsZero() {
		return bad("it has changes of no branch")
	}
	if (!v.open.IsZero() || !v.nextOpen.IsZero()) && !strings.HasPrefix(name, Heads) ||
		!v.open.IsZero() && v.Commit.IsZero() || !v.nextOpen.IsZero() && v.next.Commit.IsZero() {
		return bad("something is in progress on no branch")
	}
	return v, nil
}

// wroteText is how notes of writes are written, whose parts may be any text.
var wroteText = base64.RawURLEncoding.Strict()

func decodeWrote(text string) (x Wrote, err error) {
	id, result, ok := strings.Cut(text, ".")
	if !ok {
		return x, errors.New("it has one part")
	}
	a, err := wroteText.DecodeString(id)
	b, err2 := wroteText.DecodeString(result)
	return Wrote{string(a), string(b)}, errors.Join(err, err2)
}

// Pack is a pack of a list.
type Pack struct {
	Digest hash.Hash
	Size   int64 // in bytes
	Chunks int
}

func (p Pack) object() string { return packsDir + p.Digest.Full() + pack.Ext }

// tableGuess is how many bytes are read in front of the index of a pack that may be striped: most tables of blocks are shorter.
const tableGuess = 16 << 10

// directory reads what is in a pack; end gives that many bytes of its end.
func (r *Remote) directory(p Pack, end func(n int64) ([]byte, error)) (*pack.Directory, error) {
	n, err := p.tail()
	if err != nil {
		return nil, err
	}
	if r.striped {
		n = min(n+tableGuess, p.Size)
	}
	for {
		data, err := end(n)
		if err != nil {
			return nil, err
		}
		dir, err := pack.ReadDirectory(data, p.Size, p.Digest, p.Chunks)
		var short *pack.ShortError
		if !errors.As(err, &short) || short.Need <= n {
			return dir, err
		}
		n = short.Need
	}
}

// tail is how much of the pack's end says what is in it, but for the table of a striped pack.
func (p Pack) tail() (int64, error) {
	n := pack.TailSize(p.Chunks)
	if n > p.Size {
		return 0, errs.New(errs.Corrupt, "the list of the remote says that pack %s has %d chunks in %d bytes", p.Digest.Full(), p.Chunks, p.Size)
	}
	return n, nil
}

const listWords = "stemma packs 1"

// encodeList is the content of a list.
func encodeList(packs []Pack) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, listWords)
	for _, p := range packs {
		fmt.Fprintf(&b, "%s %d %d\n", p.Digest.Full(), p.Size, p.Chunks)
	}
	return b.Bytes()
}

// decodeList reads the list whose name is h.
func decodeList(data []byte, h hash.Hash) ([]Pack, error) {
	if hash.Sum(data) != h {
		return nil, errs.New(errs.Corrupt, "the list of packs %s of the remote has other bytes than its name says", h.Full())
	}
	sc := bufio.NewScanner(bytes.NewReader(data))
	bad := func() ([]Pack, error) {
		return nil, errs.New(errs.Corrupt, "the list of packs %s of the remote cannot be understood", h.Full())
	}
	if !sc.Scan() || sc.Text() != listWords {
		if strings.HasPrefix(sc.Text(), "stemma packs ") {
			return nil, errs.New(errs.TooNew, "the list of packs %s of the remote was written by a newer stemma; use one", h.Full())
		}
		return bad()
	}
	var out []Pack
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) != 3 {
			return bad()
		}
		digest, err := hash.Parse(f[0])
		size, err2 := strconv.ParseInt(f[1], 10, 64)
		chunks, err3 := strconv.ParseInt(f[2], 10, 32)
		if err != nil || err2 != nil || err3 != nil || size < 0 || chunks < 0 {
			return bad()
		}
		out = append(out, Pack{Digest: digest, Size: size, Chunks: int(chunks)})
	}
	if sc.Err() != nil { // a line too long to be one
		return bad()
	}
	return out, nil
}

// The outcomes of a change of several refs.
const (
	outcomeDone  = "stemma change 1\ncommitted\n"
	outcomeGiven = "stemma change 1\ngiven up\n"
)
