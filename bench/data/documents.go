package data

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// Documents is a corpus for training: texts of about 4 KB in sentences, the words of which are as unequally frequent as those of a
// language, with labels. A document is a function of its number and of how often it was edited.
type Documents struct {
	words []string
}

// Document is a row.
type Document struct {
	ID           int
	Label, Split string
	Body         string
}

const sentences = 57 // of about 70 bytes

var labels = [...]string{"contract", "invoice", "letter", "manual", "news", "paper", "report", "review"}

// NewDocuments makes a corpus.
func NewDocuments() *Documents {
	r := rand.New(rand.NewPCG(23, 5))
	d := &Documents{words: make([]string, 20000)}
	syllables := [...]string{"an", "be", "co", "da", "er", "fo", "gu", "hi", "in", "ka", "lo", "mi", "no", "or", "pe", "ra", "st", "ti", "un", "ve"}
	for i := range d.words {
		var b strings.Builder
		for range 1 + r.IntN(2+min(i/300, 3)) {
			b.WriteString(syllables[r.IntN(len(syllables))])
		}
		d.words[i] = b.String()
	}
	return d
}

// At is document i after so many edits, each of which writes one sentence anew.
func (d *Documents) At(i, edits int) Document {
	r := rand.New(rand.NewPCG(uint64(i), 17))
	zipf := func(r *rand.Rand) *rand.Zipf { return rand.NewZipf(r, 1.1, 4, uint64(len(d.words)-1)) }
	z := zipf(r)
	text := make([]string, sentences-10+r.IntN(21))
	for k := range text {
		text[k] = d.sentence(r, z)
	}
	for e := range edits {
		q := rand.New(rand.NewPCG(uint64(i), 1000+uint64(e)))
		text[q.IntN(len(text))] = d.sentence(q, zipf(q))
	}
	split := "train"
	if i%10 == 0 {
		split = "test"
	}
	return Document{ID: i, Label: labels[r.IntN(len(labels))], Split: split, Body: strings.Join(text, " ")}
}

func (d *Documents) sentence(r *rand.Rand, z *rand.Zipf) string {
	var b strings.Builder
	for n := 8 + r.IntN(13); n > 0; n-- {
		w := d.words[z.Uint64()]
		if b.Len() == 0 {
			b.WriteString(strings.ToUpper(w[:1]) + w[1:])
			continue
		}
		b.WriteByte(' ')
		b.WriteString(w)
	}
	b.WriteByte('.')
	return b.String()
}

// Write writes the file of the documents with these numbers, each edited so often.
func (d *Documents) Write(w io.Writer, ids []int, edits int) error {
	out := bufio.NewWriterSize(w, 1<<20)
	if _, err := out.WriteString("id,label,split,body\n"); err != nil {
		return err
	}
	for _, i := range ids {
		x := d.At(i, edits)
		if _, err := fmt.Fprintf(out, "%d,%s,%s,%s\n", x.ID, x.Label, x.Split, x.Body); err != nil {
			return err
		}
	}
	return out.Flush()
}

// Text is a text of n bytes; the same for the same seed.
func (d *Documents) Text(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 29))
	z := rand.NewZipf(r, 1.1, 4, uint64(len(d.words)-1))
	b := make([]byte, 0, n+200)
	for len(b) < n {
		b = append(b, d.sentence(r, z)...)
		b = append(b, ' ')
	}
	return b[:n]
}
