package training

import (
	"bytes"
	"errors"
	"io"

	"gopkg.in/yaml.v3"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// LockVersion is the version of lock files that this program writes, and the newest that it reads.
const LockVersion = 1

// Pin is an item of a lock: which rows the item's revision meant when it was locked. Hashes have all their characters.
type Pin struct {
	Item        `yaml:",inline"`
	Commit      string   `yaml:"commit" json:"commit"`
	TableHash   string   `yaml:"table_hash" json:"table_hash"`     // of the whole table: its schema and rows
	SchemaHash  string   `yaml:"schema_hash" json:"schema_hash"`   // of the whole table
	ContentHash string   `yaml:"content_hash" json:"content_hash"` // SHA-256 of the item's rows as CSV
	Rows        uint64   `yaml:"rows" json:"rows"`                 // of the item
	PrimaryKey  []string `yaml:"primary_key,flow,omitempty" json:"primary_key,omitempty"`
}

// LockedSplit is a split of a lock.
type LockedSplit struct {
	Name  string `yaml:"name" json:"name"`
	Items []Pin  `yaml:"items" json:"items"`
}

// SharedKeys tells of two items of different splits that have keys in common: rows that are trained on and tested with.
type SharedKeys struct {
	Splits []string `yaml:"splits,flow" json:"splits"` // the two splits
	Items  []string `yaml:"items,flow" json:"items"`   // the item of each, as Item.String gives it
	Keys   uint64   `yaml:"keys" json:"keys"`          // how many; of tables without a key rows
}

// Lock is a lock file.
type Lock struct {
	Version    int           `yaml:"version" json:"version"`
	Config     string        `yaml:"config" json:"config"` // Config.Hash
	Splits     []LockedSplit `yaml:"splits" json:"splits"`
	SharedKeys []SharedKeys  `yaml:"shared_keys,omitempty" json:"shared_keys,omitempty"`
}

// lockHead begins every lock file.
const lockHead = "# Made by `stemma data lock`; do not edit. Commit it beside the configuration.\n"

// Encode is the lock as a file. Equal locks are equal files.
func (l *Lock) Encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(lockHead)
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(l), e.Close()); err != nil {
		return nil, errs.New(errs.Internal, "encode lock: %w", err)
	}
	return b.Bytes(), nil
}

// ParseLock reads a lock file, whose name in messages is file.
func ParseLock(file string, data []byte) (*Lock, error) {
	l := &Lock{}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var version struct{ Version int }
	if err := yaml.Unmarshal(data, &version); err == nil && version.Version > LockVersion {
		return nil, errs.New(errs.TooNew, "%s: it is of version %d, this program knows versions up to %d", file, version.Version, LockVersion)
	}
	if err := d.Decode(l); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errs.New(errs.Invalid, "%s: the lock file is empty; make it with data lock", file)
		}
		return nil, errs.New(errs.Invalid, "%s: %w: it is no lock file, or it has been edited; make it anew with data lock", file, err)
	}
	if l.Version != LockVersion {
		return nil, errs.New(errs.Invalid, "%s: it is no lock file: its version is %d", file, l.Version)
	}
	for _, s := range l.SharedKeys {
		if len(s.Splits) != 2 || len(s.Items) != 2 {
			return nil, errs.New(errs.Invalid, "%s: shared_keys tells of %d items, want 2; make the lock anew with data lock", file, len(s.Items))
		}
	}
	for _, s := range l.Splits {
		for _, p := range s.Items {
			for _, h := range []string{p.Commit, p.TableHash, p.SchemaHash, p.ContentHash} {
				if _, err := hash.Parse(h); err != nil {
					return nil, errs.New(errs.Invalid, "%s: %s: %q is no hash of %d characters; make the lock anew with data lock", file, p.Item, h, hash.FullLen)
				}
			}
		}
	}
	return l, nil
}

// Find is the pin of an item in a split; nil when there is none.
func (l *Lock) Find(split string, item Item) *Pin {
	for i := range l.Splits {
		if l.Splits[i].Name != split {
			continue
		}
		for k := range l.Splits[i].Items {
			if l.Splits[i].Items[k].Same(item) {
				return &l.Splits[i].Items[k]
			}
		}
	}
	return nil
}
