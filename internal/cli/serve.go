package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/server/flight"
	"github.com/stemmadb/stemma/internal/server/mysql"
	"github.com/stemmadb/stemma/internal/server/owner"
	"github.com/stemmadb/stemma/internal/server/remote"
)

// serverVerb is the verb that lets clients in: sql-server those of MySQL's protocol, serve those of Arrow as well, or only those of the
// machine's user.
type serverVerb struct {
	Host         string `flag:"host,H" value:"address" help:"listen on this address (default localhost)"`
	Port         int    `flag:"port,P" help:"listen on this port (default 3306)"`
	LogLevel     string `flag:"loglevel,l" enum:"trace,debug,info,warning,error,fatal" help:"how much to log (default info)"`
	Timeout      int    `flag:"timeout,t" value:"ms" help:"how long a connection may be idle, in milliseconds (default 28800000)"`
	ReadOnly     bool   `flag:"readonly,r" help:"refuse statements that change anything"`
	MaxConns     int    `flag:"max-connections" help:"how many clients there may be (default 1000)"`
	Socket       string `flag:"socket" bare:"/tmp/mysql.sock" value:"path" complete:"file" help:"listen on a unix socket as well"`
	Config       string `flag:"config" value:"file" complete:"file" help:"read settings from a file of YAML; flags win"`
	NoAutoCommit bool   `flag:"no-auto-commit" help:"let sessions begin with autocommit off"`
	TLSCert      string `flag:"tls-cert" value:"file" complete:"file" help:"certificate for TLS, PEM"`
	TLSKey       string `flag:"tls-key" value:"file" complete:"file" help:"its private key, PEM"`
	RequireTLS   bool   `flag:"require-secure-transport" help:"refuse connections over the network without TLS"`
	Privileges   string `flag:"privilege-file" value:"file" complete:"file" help:"keep users and grants in this file"`
	RemotePort   int    `flag:"remote-port" value:"port" help:"let others push to the databases, fetch from them and clone them over HTTP, on this port (usual: 8816)"`
	FlightPort   int    `flag:"flight-port" value:"port" help:"let Arrow clients in as well, on this port (usual: 8815)"`

	// Of serve only.
	Private string `flag:"private" value:"dir" complete:"file" help:"see to it that a process answers for the database of this directory, and return"`
	Here    bool   `flag:"here" hidden:"true" help:"with --private: answer in this process"`

	program *Program
	arrow   bool // lets Arrow clients in without being told a port
}

func (p *Program) serverSpec() op.Spec {
	spec := specOf(op.Spec{
		Name: "sql-server", Group: op.GroupServe, Short: "Start a MySQL-compatible server",
		Long: `Serves the database of the directory, or each directory in it that is a database, to any MySQL client. It listens on this machine
only, unless a host is given. Until a user is created, root may come in from this machine without a password.

Other commands work beside a running server: what changes the database is carried out by it.

An interrupt lets running statements finish and ends the server.

A file of settings holds any of these, with the defaults shown:

    log_level: info
    data_dir: .
    privilege_file: .stemma/privileges.db
    behavior:
      read_only: false
      autocommit: true
    listener:
      host: localhost
      port: 3306
      max_connections: 1000
      read_timeout_millis: 28800000
      socket: ""
      tls_cert: ""
      tls_key: ""
      require_secure_transport: false
      flight_port: 0
      remote_port: 0
    user_session_vars:
      - name: analyst
        vars: {max_execution_time: "60000"}`,
		Usage:    []string{"[-H <address>] [-P <port>] [<options>]"},
		Examples: []op.Example{{Args: "sql-server", Help: "serve on localhost:3306"}, {Args: "sql-server -H 0.0.0.0 -P 3307 -l warning", Help: "let other machines in"}},
	}, func() op.Op { return &serverVerb{program: p} })
	spec.Params = slices.DeleteFunc(spec.Params, func(p op.Param) bool { return p.Name == "private" || p.Name == "here" })
	return spec
}

func (p *Program) serveSpec() op.Spec {
	return specOf(op.Spec{
		Name: "serve", Group: op.GroupServe, Short: "Let MySQL and Arrow clients in",
		Long: `Serves the database of the directory, or each directory in it that is a database, to MySQL clients and to Arrow clients (Flight SQL:
ADBC, JDBC, pandas, Polars), on port 8815 unless told otherwise. It takes the settings of sql-server.

With --private it starts a process that answers for one directory on a socket in it, to nobody but the user, unless there is such a
process already, and returns when there is. That process ends some seconds after its last client has gone. Libraries call it.`,
		Usage: []string{"[-H <address>] [-P <port>] [--flight-port <port>] [<options>]", "--private <dir>"},
		Examples: []op.Example{
			{Args: "serve", Help: "serve on localhost:3306 and localhost:8815"},
			{Args: "serve --private .", Help: "make sure that a process answers for the database of this directory"},
		},
	}, func() op.Op { return &serverVerb{program: p, arrow: true} })
}

// Run serves until it is interrupted; with Private it returns when somebody serves.
func (v *serverVerb) Run(ctx context.Context, scope *op.Scope) (*op.Result, error) {
	switch {
	case v.Private != "":
		return nil, v.private(ctx)
	case v.Here:
		return nil, errs.New(errs.Invalid, "serve: --here goes with --private")
	}
	return nil, v.serve(ctx, scope)
}

// serve serves until it is interrupted.
func (v *serverVerb) serve(ctx context.Context, scope *op.Scope) (err error) {
	c := defaultConfig()
	if v.Config != "" {
		if err := c.read(absolute(v.program.Dir, v.Config)); err != nil {
			return err
		}
	}
	dir := scope.Dir
	if v.program.globals.Dir == "" && c.DataDir != "" {
		dir = absolute(v.program.Dir, c.DataDir)
	}
	v.override(&c)
	if v.arrow && c.Listener.FlightPort == 0 {
		c.Listener.FlightPort = flight.DefaultPort
	}
	opt, err := c.options(v.program, dir)
	if err != nil {
		return err
	}
	arrow, err := c.flightOptions()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(v.program.Out, "Starting server with Config %s\n", c); err != nil {
		return errs.New(errs.Internal, "write to standard output: %w", err)
	}
	others, err := c.remoteOptions()
	if err != nil {
		return err
	}
	var h *holding
	var last error
	err = v.program.owning(ctx, func() error {
		h, last = v.program.holdAll(ctx, dir, listening{opt, arrow, others})
		return last
	}, func() error { return owner.ErrNoOwner })
	if errs.Is(err, errs.Locked) {
		return errs.New(errs.Locked, "another process has the database open, such as another server or a shell: %w", last)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	ready := []any{"address", h.server.Addr().String()}
	if a := h.flight.Addr(); a != nil {
		ready = append(ready, "flight", a.String())
	}
	if h.others != nil {
		ready = append(ready, "remote", h.others.Addr().String())
	}
	opt.Log.Info("Server ready. Accepting connections.", ready...)
	<-ctx.Done()
	opt.Log.Info("Server closing. Waiting for running statements.")
	return nil
}

// override puts the flags over the file's settings.
func (v *serverVerb) override(c *serverConfig) {
	set(&c.Listener.Host, v.Host)
	set(&c.Listener.Port, v.Port)
	set(&c.Listener.MaxConnections, v.MaxConns)
	set(&c.Listener.ReadTimeout, v.Timeout)
	set(&c.Listener.Socket, v.Socket)
	set(&c.Listener.FlightPort, v.FlightPort)
	set(&c.Listener.RemotePort, v.RemotePort)
	set(&c.Listener.TLSCert, v.TLSCert)
	set(&c.Listener.TLSKey, v.TLSKey)
	set(&c.Listener.RequireTLS, v.RequireTLS)
	set(&c.LogLevel, v.LogLevel)
	set(&c.Behavior.ReadOnly, v.ReadOnly)
	set(&c.PrivilegeFile, v.Privileges)
	if v.NoAutoCommit {
		c.Behavior.AutoCommit = false
	}
}

// set sets what a flag gives.
func set[T comparable](dest *T, given T) {
	var none T
	if given != none {
		*dest = given
	}
}

// flightOptions are the settings as the Arrow server wants them.
func (c *serverConfig) flightOptions() (flight.Options, error) {
	address, err := c.address("flight", "Arrow clients need", c.Listener.FlightPort)
	return flight.Options{Address: address}, err
}

// remoteOptions are the settings as the server of remotes wants them.
func (c *serverConfig) remoteOptions() (remote.Options, error) {
	if c.Listener.RemotePort != 0 && c.Listener.RemotePort == c.Listener.FlightPort {
		return remote.Options{}, errs.New(errs.Invalid, "sql-server: port %d is that of Arrow clients; remotes need another", c.Listener.RemotePort)
	}
	address, err := c.address("remote", "remotes need", c.Listener.RemotePort)
	return remote.Options{Address: address}, err
}

// address is where a listener beside MySQL's listens, "" for nowhere.
func (c *serverConfig) address(name, who string, port int) (string, error) {
	const maxPort = 1<<16 - 1
	switch {
	case port < 0 || port > maxPort:
		return "", errs.New(errs.Invalid, "sql-server: %s port %d: want 0 to %d", name, port, maxPort)
	case port == 0:
		return "", nil
	case port == c.Listener.Port:
		return "", errs.New(errs.Invalid, "sql-server: port %d is MySQL's; %s another", port, who)
	}
	return net.JoinHostPort(c.Listener.Host, strconv.Itoa(port)), nil
}

// options are the settings as the server wants them, for databases in dir.
func (c *serverConfig) options(p *Program, dir string) (mysql.Options, error) {
	const maxPort = 1<<16 - 1
	if c.Listener.Port < 0 || c.Listener.Port > maxPort {
		return mysql.Options{}, errs.New(errs.Invalid, "sql-server: port %d: want 0 to %d", c.Listener.Port, maxPort)
	}
	level, err := mysql.ParseLevel(c.LogLevel)
	if err != nil {
		return mysql.Options{}, err
	}
	path := func(s string) string {
		if s == "" {
			return ""
		}
		return absolute(p.Dir, s)
	}
	o := mysql.Options{
		Address: net.JoinHostPort(c.Listener.Host, strconv.Itoa(c.Listener.Port)), Socket: path(c.Listener.Socket),
		Privileges: path(c.PrivilegeFile), Files: filepath.Join(dir, "files"), ReadOnly: c.Behavior.ReadOnly,
		NoAutoCommit: !c.Behavior.AutoCommit, MaxConnections: c.Listener.MaxConnections,
		Timeout: time.Duration(c.Listener.ReadTimeout) * time.Millisecond, RequireTLS: c.Listener.RequireTLS,
		Log: mysql.NewLogger(p.Err, level),
	}
	if o.TLS, err = mysql.LoadTLS(path(c.Listener.TLSCert), path(c.Listener.TLSKey)); err != nil {
		return mysql.Options{}, err
	}
	o.UserVars = map[string]map[string]string{}
	for _, u := range c.UserVars {
		o.UserVars[u.Name] = u.Vars
	}
	return o, nil
}
