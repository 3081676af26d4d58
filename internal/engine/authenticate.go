package engine

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	vitess "github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/errs"
)

// Authenticate finds the account of a user who comes from a host, and checks the password. secure tells whether the connection cannot be
// overheard, which accounts may require. The error is of class Denied and does not tell what was wrong.
func (e *Engine) Authenticate(user, password, from string, secure bool) (accountUser, accountHost string, err error) {
	denied := errs.New(errs.Denied, "Access denied for user '%s'@'%s' (using password: %s)", user, from, map[bool]string{true: "YES", false: "NO"}[password != ""])
	db := e.sqle.Analyzer.Catalog.MySQLDb
	if !db.Enabled() {
		return user, from, nil
	}
	rd := db.Reader()
	defer rd.Close()
	u := db.GetUser(rd, user, from, false)
	if u == nil || u.Locked || u.IsRole || !e.passwords.matches(u, password) {
		return "", "", denied
	}
	switch u.SslType {
	case "":
	case "ANY":
		if !secure {
			return "", "", denied
		}
	default: // certificates of clients are not asked for
		return "", "", denied
	}
	return u.User, u.Host, nil
}

// passwords remembers which passwords have the digests of accounts: those are made to be slow, and HTTP asks with every request. The zero value
// knows none.
type passwords struct {
	mu   sync.Mutex
	key  []byte // of this process, so that what is remembered is of use in it only
	seen map[[sha256.Size]byte]bool
}

// passwordsMost bounds what is remembered.
const passwordsMost = 1000

// matches is hasPassword. Only what matches is remembered; another digest, as that of a new password, is asked for anew.
func (p *passwords) matches(u *mysql_db.User, password string) bool {
	p.mu.Lock()
	if p.key == nil {
		p.key = []byte(rand.Text())
	}
	key := p.key
	p.mu.Unlock()
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{u.Plugin, u.AuthString, password} {
		_, _ = fmt.Fprintf(mac, "%d %s", len(part), part) // a hash takes everything
	}
	id := [sha256.Size]byte(mac.Sum(nil))
	p.mu.Lock()
	known := p.seen[id]
	p.mu.Unlock()
	if known {
		return true
	}
	if !hasPassword(u, password) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil || len(p.seen) >= passwordsMost {
		p.seen = map[[sha256.Size]byte]bool{}
	}
	p.seen[id] = true
	return true
}

// hasPassword compares a password with the digest that the account has.
func hasPassword(u *mysql_db.User, password string) bool {
	if u.AuthString == "" {
		return password == ""
	}
	switch vitess.AuthMethodDescription(u.Plugin) {
	case vitess.CachingSha2Password:
		kind, rounds, salt, _, err := vitess.DeserializeCachingSha2PasswordAuthString([]byte(u.AuthString))
		if err != nil || kind != "SHA256" {
			return false
		}
		want, err := vitess.SerializeCachingSha2PasswordAuthString(password, salt, rounds)
		return err == nil && subtle.ConstantTimeCompare(want, []byte(u.AuthString)) == 1
	case vitess.MysqlNativePassword, "":
		one := sha1.Sum([]byte(password))
		two := sha1.Sum(one[:])
		want := "*" + strings.ToUpper(hex.EncodeToString(two[:]))
		return subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToUpper(u.AuthString))) == 1
	}
	return false
}
