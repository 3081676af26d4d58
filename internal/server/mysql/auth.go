package mysql

import (
	"net"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	vitess "github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/vfs"
)

// OwnerName is the user that trusted peers are. It can do everything, is not kept, and nobody can log in with it.
const OwnerName = "owner"

// auth asks trusted peers for nothing, others for what the users' table says.
type auth struct {
	users   vitess.AuthServer
	methods []vitess.AuthMethod
}

func newAuth(users vitess.AuthServer, requireTLS bool) *auth {
	a := &auth{users: users, methods: []vitess.AuthMethod{trustedMethod{vitess.NewMysqlNativeAuthMethod(trust{}, trust{})}}}
	for _, m := range users.AuthMethods() {
		if requireTLS {
			m = secureMethod{m}
		}
		a.methods = append(a.methods, m)
	}
	return a
}

// secureMethod is a method that is only for connections that cannot be overheard: with TLS, or within the machine.
type secureMethod struct{ vitess.AuthMethod }

// erInsecure is MySQL's ER_SECURE_TRANSPORT_REQUIRED.
const erInsecure = 3159

// HandleAuthPluginData implements vitess.AuthMethod.
func (m secureMethod) HandleAuthPluginData(c *vitess.Conn, user string, server, client []byte, addr net.Addr) (vitess.Getter, error) {
	if !c.TLSEnabled() && addr.Network() != "unix" {
		return nil, vitess.NewSQLError(erInsecure, "HY000", "Connections using insecure transport are prohibited while --require-secure-transport is given.")
	}
	return m.AuthMethod.HandleAuthPluginData(c, user, server, client, addr)
}

// AuthMethods implements vitess.AuthServer.
func (a *auth) AuthMethods() []vitess.AuthMethod { return a.methods }

// DefaultAuthMethodDescription implements vitess.AuthServer.
func (a *auth) DefaultAuthMethodDescription() vitess.AuthMethodDescription {
	return a.users.DefaultAuthMethodDescription()
}

// trustedMethod is the method of trusted peers.
type trustedMethod struct{ vitess.AuthMethod }

// HandleUser tells whether the peer is trusted.
func (trustedMethod) HandleUser(c *vitess.Conn, _ string) bool { return isTrusted(c) }

func isTrusted(c *vitess.Conn) bool {
	_, ok := c.RemoteAddr().(localAddr)
	return ok
}

// trust lets everyone in.
type trust struct{}

// HandleUser implements vitess.UserValidator.
func (trust) HandleUser(string, net.Addr) bool { return true }

// UserEntryWithHash implements vitess.HashStorage.
func (trust) UserEntryWithHash(*vitess.Conn, []byte, string, []byte, net.Addr) (vitess.Getter, error) {
	return sql.MysqlConnectionUser{User: OwnerName, Host: "localhost"}, nil
}

// peerAuthor is the author of a trusted peer's commits: it gives it as its user name, in git's form "Name <mail>".
func peerAuthor(user string) history.Signature {
	name, rest, ok := strings.Cut(user, " <")
	if !ok {
		return history.Signature{Name: user}
	}
	return history.Signature{Name: name, Email: strings.TrimSuffix(rest, ">")}
}

// privileges keeps users and grants in a file.
type privileges struct {
	fs   vfs.FS
	path string
	none bool // root cannot come in while there are no users

	mu    sync.Mutex
	saved []byte // what the file holds
}

var _ mysql_db.MySQLDbPersistence = (*privileges)(nil)

// Persist implements mysql_db.MySQLDbPersistence: durable, and all or nothing. It makes the file's directory.
func (p *privileges) Persist(_ *sql.Context, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.path != "" {
		err := p.fs.MkdirAll(filepath.Dir(p.path))
		if err == nil {
			err = vfs.WriteFile(p.fs, p.path, data)
		}
		if err != nil {
			return errs.New(errs.CodeOf(err), "save users and grants: %w; nothing was changed", err)
		}
	}
	p.saved = data
	return nil
}

// restore makes the users in db those that were saved last.
func (p *privileges) restore(ctx *sql.Context, db *mysql_db.MySQLDb) error {
	p.mu.Lock()
	data := p.saved
	p.mu.Unlock()
	ed := db.Editor()
	var users []*mysql_db.User
	ed.VisitUsers(func(u *mysql_db.User) {
		if !u.IsEphemeral {
			users = append(users, u)
		}
	})
	for _, u := range users {
		ed.RemoveUser(mysql_db.UserPrimaryKey{Host: u.Host, User: u.User})
	}
	var roles []*mysql_db.RoleEdge
	ed.VisitRoleEdges(func(r *mysql_db.RoleEdge) { roles = append(roles, r) })
	for _, r := range roles {
		ed.RemoveRoleEdgesFromKey(mysql_db.RoleEdgesFromKey{FromHost: r.FromHost, FromUser: r.FromUser})
	}
	ed.Close()
	return p.fill(ctx, db, data)
}

// load reads the users into db. Without any, root can come in from this machine, unless p.none; the file is made with the first change.
func (p *privileges) load(ctx *sql.Context, db *mysql_db.MySQLDb) error {
	db.SetPersister(p)
	db.SetEnabled(true)
	if p.path != "" {
		data, err := vfs.ReadFile(p.fs, p.path)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return errs.New(errs.CodeOf(err), "read users: %w", err)
		}
		p.saved = data
	}
	return p.fill(ctx, db, p.saved)
}

// fill adds the users of a file's content to db, and those that are always there.
func (p *privileges) fill(ctx *sql.Context, db *mysql_db.MySQLDb, data []byte) error {
	if err := db.LoadData(ctx, data); err != nil {
		return errs.New(errs.Corrupt, "read users from %s: %w", p.path, err)
	}
	ed := db.Editor()
	defer ed.Close()
	none := true
	ed.VisitUsers(func(u *mysql_db.User) { none = none && (u.IsRole || u.IsEphemeral) })
	if none && !p.none {
		db.AddSuperUser(ed, "root", "localhost", "")
	}
	db.AddEphemeralSuperUser(ed, OwnerName, "localhost", "")
	if u, ok := ed.GetUser(mysql_db.UserPrimaryKey{Host: "localhost", User: OwnerName}); ok {
		u.Locked = true
		ed.PutUser(u)
	}
	return nil
}
