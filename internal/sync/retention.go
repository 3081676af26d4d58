package sync

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// retentionName is the object with the rules of retention of a database that is worked on at the remote.
const retentionName = "retention"

const retentionWords = "stemma retention 1"

// retentionTries is how often a change of the rules is made anew because others change them meanwhile.
const retentionTries = 100

func encodeRetention(rules map[string]string) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, retentionWords)
	for _, p := range slices.Sorted(maps.Keys(rules)) {
		fmt.Fprintf(&b, "rule %s %s\n", strconv.Quote(p), strconv.Quote(rules[p]))
	}
	fmt.Fprintf(&b, "nonce %s\n", nonce())
	return b.Bytes()
}

// decodeRetention reads what encodeRetention gives.
func decodeRetention(data []byte, url string) (map[string]string, error) {
	bad := func(why string) (map[string]string, error) {
		return nil, errs.New(errs.Corrupt, "the object %s of the remote %s cannot be understood: %s", retentionName, url, why)
	}
	sc := bufio.NewScanner(bytes.NewReader(data))
	if !sc.Scan() || sc.Text() != retentionWords {
		if strings.HasPrefix(sc.Text(), "stemma retention ") {
			return nil, errs.New(errs.TooNew, "the object %s of the remote %s was written by a newer stemma; use one", retentionName, url)
		}
		return bad("it does not begin as it should")
	}
	rules, ended := map[string]string{}, false
	for sc.Scan() {
		word, rest, _ := strings.Cut(sc.Text(), " ")
		if ended || word != "rule" && word != "nonce" {
			return bad("a line is none of its lines")
		}
		if word == "nonce" {
			ended = true
			continue
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return bad("a pattern is none")
		}
		pattern, _ := strconv.Unquote(quoted)
		text, err := strconv.Unquote(strings.TrimPrefix(rest[len(quoted):], " "))
		if _, twice := rules[pattern]; err != nil || twice {
			return bad("the rules of a pattern are none, or there twice")
		}
		rules[pattern] = text
	}
	if sc.Err() != nil || !ended {
		return bad("it is cut short")
	}
	return rules, nil
}

// Retention reads the rules of retention, texts by pattern of branches, of a database that is worked on at the remote.
func (r *Remote) Retention(ctx context.Context) (map[string]string, error) {
	rules, _, err := r.retention(ctx)
	return rules, err
}

func (r *Remote) retention(ctx context.Context) (map[string]string, object.Generation, error) {
	data, gen, err := r.s.Get(ctx, retentionName)
	if errs.Is(err, errs.NotFound) {
		return map[string]string{}, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read the rules of retention at %s: %w", r.URL(), err)
	}
	rules, err := decodeRetention(data, r.URL())
	return rules, gen, err
}

// ChangeRetention changes the rules of retention. change is called again where others have changed them meanwhile; it does the same when it is done
// twice. Its error ends it.
func (r *Remote) ChangeRetention(ctx context.Context, change func(rules map[string]string) error) error {
	for range retentionTries {
		rules, gen, err := r.retention(ctx)
		if err == nil {
			err = change(rules)
		}
		if err != nil {
			return err
		}
		err = r.s.Put(ctx, retentionName, object.Bytes(encodeRetention(rules)), object.If(gen))
		if !errs.Is(err, errs.Conflict) {
			if err != nil {
				err = fmt.Errorf("write the rules of retention at %s: %w", r.URL(), err)
			}
			return err
		}
	}
	return errs.New(errs.Unavailable, "others change the rules of retention at %s all the time; try again", r.URL())
}
