package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	Host      string `flag:"host,H" value:"address" help:"listen on this address (default localhost)"`
	Port      int    `flag:"port,P" help:"listen on this port (default 3306)"`
	LogLevel  string `flag:"loglevel,l" enum:"trace,debug,info,warning,error,fatal" help:"how much to log (default info)"`
	LogFormat string `flag:"logformat,f" enum:"text,json" help:"what a line of the log is (default text)"`
	Timeout   int    `flag:"timeout,t" value:"seconds" default:"-1" least:"0" help:"how long a connection may be idle, in seconds; 0 is for ever (default 28800)"`
	ReadOnly  bool   `flag:"readonly,r" help:"refuse statements that change anything"`
	MaxConns  int    `flag:"max-connections" least:"1" help:"how many clients there may be (default 1000)"`
	BackLog   int    `flag:"back-log" least:"1" help:"how many more may wait (default 50)"`

	Patience time.Duration `flag:"max-connections-timeout" value:"duration" help:"how long each of these waits (default 1m)"`

	Socket       string `flag:"socket" bare:"/tmp/mysql.sock" value:"path" complete:"file" help:"listen on a unix socket as well"`
	Config       string `flag:"config" value:"file" complete:"file" help:"read settings from a file of YAML; flags win"`
	NoAutoCommit bool   `flag:"no-auto-commit" help:"let sessions begin with autocommit off"`
	TLSCert      string `flag:"tls-cert" value:"file" complete:"file" help:"certificate for TLS, PEM"`
	TLSKey       string `flag:"tls-key" value:"file" complete:"file" help:"its private key, PEM"`
	RequireTLS   bool   `flag:"require-secure-transport" help:"refuse connections over the network without TLS"`
	ConfigDir    string `flag:"cfg-dir" alias:"doltcfg-dir" value:"dir" complete:"file" help:"keep what is of no database in this directory: privileges.db"`
	Privileges   string `flag:"privilege-file" value:"file" complete:"file" help:"keep users and grants in this file"`
	NoRoot       bool   `flag:"skip-root-user-initialization" help:"do not let root in while no user has been made: make users with the command sql"`
	RemotePort   int    `flag:"remote-port" value:"port" help:"let others push to the databases, fetch from them and clone them over HTTP, on this port (usual: 8816)"`
	Follow       string `flag:"follow" value:"remote[=interval]" help:"make the databases read-only replicas of this remote, which is asked so often (default 10s): see stemma_replica_status"`
	Store        string `flag:"store" value:"url" help:"serve the database that is in this bucket or directory of remotes, and change it there: several servers may do so at once"`
	FlightPort   int    `flag:"flight-port" value:"port" help:"let Arrow clients in as well, on this port (usual: 8815)"`

	// What Dolt's server has and this one has not: see refused.
	User        string `flag:"user,u" hidden:"true" value:"name"`
	Password    string `flag:"password,p" hidden:"true" value:"text"`
	RemotesPort int    `flag:"remotesapi-port" hidden:"true" value:"port"`
	RemotesRead bool   `flag:"remotesapi-readonly" hidden:"true"`
	Golden      string `flag:"golden" hidden:"true" value:"connection"`
	Events      string `flag:"event-scheduler" hidden:"true" value:"ON|OFF|DISABLED"`
	Control     string `flag:"branch-control-file" hidden:"true" value:"file"`
	Cleartext   string `flag:"allow-cleartext-passwords" hidden:"true" value:"true|false"`
	MCPPort     int    `flag:"mcp-port" hidden:"true" value:"port"`
	MCPUser     string `flag:"mcp-user" hidden:"true" value:"name"`
	MCPPassword string `flag:"mcp-password" hidden:"true" value:"text"`
	MCPDatabase string `flag:"mcp-database" hidden:"true" value:"name"`
	Parallel    int    `flag:"query-parallelism" hidden:"true" help:"accepted for compatibility, as in Dolt"`
	Many        string `flag:"multi-db-dir" hidden:"true" value:"dir" help:"the same as --data-dir"`

	// Of serve only.
	Private string `flag:"private" value:"dir" complete:"file" help:"see to it that a process answers for the database of this directory, or for what is at the remote of this URL, and return"`
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
    log_format: text
    max_logged_query_len: 1000
    data_dir: .
    cfg_dir: .stemma
    privilege_file: .stemma/privileges.db
    behavior:
      read_only: false
      autocommit: true
      dolt_transaction_commit: false
      disable_client_multi_statements: false
    listener:
      host: localhost
      port: 3306
      max_connections: 1000
      back_log: 50
      max_connections_timeout_millis: 60000
      read_timeout_millis: 28800000
      write_timeout_millis: 28800000
      socket: ""
      tls_cert: ""
      tls_key: ""
      ca_cert: ""
      require_client_cert: false
      require_secure_transport: false
      flight_port: 0
      remote_port: 0
    follow:
      remote: ""
      interval_millis: 10000
      databases: []
    system_variables: {}
    user_session_vars: []

The last ones filled in, for example:

    follow:
      remote: origin
      databases: [prices]
    system_variables:
      sql_mode: ANSI_QUOTES
    user_session_vars:
      - name: analyst
        vars: {max_execution_time: "60000"}

${NAME} in it is a variable of the environment, $$ a dollar.

What Dolt's server has beside these is refused, with what to do instead: users and passwords are made by CREATE USER and GRANT, not by
--user and --password; the port of remotes is --remote-port, not --remotesapi-port, whose
protocol is another; there is none for language models (--mcp-port) or to a server to compare with
(--golden), no event scheduler, and no file of branch permissions (--branch-control-file).`,
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
		return v.private(ctx)
	case v.Here:
		return nil, errs.New(errs.Invalid, "serve: --here goes with --private")
	}
	return nil, v.serve(ctx, scope)
}

// serve serves until it is interrupted.
func (v *serverVerb) serve(ctx context.Context, scope *op.Scope) (err error) {
	if err := v.refused(); err != nil {
		return err
	}
	c := defaultConfig()
	if v.Config != "" {
		if err := c.read(absolute(v.program.Dir, v.Config), v.program.Env); err != nil {
			return err
		}
	}
	set(&c.DataDir, v.Many)
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
	opt.NoRoot = v.NoRoot
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
	follow, err := c.followOptions()
	if err != nil {
		return err
	}
	var h *holding
	var last error
	err = v.program.owning(ctx, func() error {
		h, last = v.program.holdAll(ctx, dir, listening{opt, arrow, others, follow})
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

// What of Dolt's server is refused, and what to do instead.
const (
	refusedUser      = "create users with CREATE USER and GRANT"
	refusedRemotes   = "this server lets others push, fetch and clone on --remote-port"
	refusedMCP       = "programs that speak MCP come in by MySQL's protocol"
	refusedGolden    = "compare answers in a client"
	refusedEvents    = "run what is to be done at times by a scheduler of the system"
	refusedControl   = "limit users by GRANT"
	refusedCleartext = "passwords are never sent in clear text"
)

// refused is an error when an option of Dolt's server is given that this one has no use for.
func (v *serverVerb) refused() error {
	for _, o := range []struct {
		given         bool
		flag, instead string
	}{
		{v.User != "", "--user", refusedUser},
		{v.Password != "", "--password", refusedUser},
		{v.RemotesPort != 0, "--remotesapi-port", refusedRemotes},
		{v.RemotesRead, "--remotesapi-readonly", refusedRemotes},
		{v.Golden != "", "--golden", refusedGolden},
		{v.Events != "" && !strings.EqualFold(v.Events, "off") && !strings.EqualFold(v.Events, "disabled"), "--event-scheduler", refusedEvents},
		{v.Control != "", "--branch-control-file", refusedControl},
		{v.Cleartext != "" && v.Cleartext != "false", "--allow-cleartext-passwords", refusedCleartext},
		{v.MCPPort != 0, "--mcp-port", refusedMCP},
		{v.MCPUser != "", "--mcp-user", refusedMCP},
		{v.MCPPassword != "", "--mcp-password", refusedMCP},
		{v.MCPDatabase != "", "--mcp-database", refusedMCP},
	} {
		if o.given {
			return errs.New(errs.Unsupported, "sql-server: %s is not offered: %s", o.flag, o.instead)
		}
	}
	return nil
}

// override puts the flags over the file's settings.
func (v *serverVerb) override(c *serverConfig) {
	set(&c.Listener.Host, v.Host)
	set(&c.Listener.Port, v.Port)
	set(&c.Listener.MaxConnections, v.MaxConns)
	set(&c.Listener.BackLog, v.BackLog)
	set(&c.Listener.Patience, int(v.Patience.Milliseconds()))
	if v.Timeout >= 0 {
		const millis = 1000
		c.Listener.ReadTimeout, c.Listener.WriteTimeout = v.Timeout*millis, v.Timeout*millis
	}
	set(&c.Listener.Socket, v.Socket)
	set(&c.Listener.FlightPort, v.FlightPort)
	set(&c.Listener.RemotePort, v.RemotePort)
	set(&c.Listener.TLSCert, v.TLSCert)
	set(&c.Listener.TLSKey, v.TLSKey)
	set(&c.Listener.RequireTLS, v.RequireTLS)
	set(&c.LogLevel, v.LogLevel)
	set(&c.LogFormat, v.LogFormat)
	set(&c.ConfigDir, v.ConfigDir)
	set(&c.Behavior.ReadOnly, v.ReadOnly)
	set(&c.PrivilegeFile, v.Privileges)
	set(&c.followed, v.Follow)
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

// followOptions say which databases are replicas. What the flag says of the remote and its interval wins.
func (c *serverConfig) followOptions() (following, error) {
	f := following{c.Follow.Remote, time.Duration(c.Follow.Interval) * time.Millisecond, c.Follow.Databases}
	if c.followed != "" {
		said, err := parseFollow(c.followed)
		if err != nil {
			return f, err
		}
		f.remote, f.every = said.remote, said.every
	}
	return f, f.check()
}

// remoteOptions are the settings as the server of remotes wants them.
func (c *serverConfig) remoteOptions() (remote.Options, error) {
	if c.Listener.RemotePort != 0 && c.Listener.RemotePort == c.Listener.FlightPort {
		return remote.Options{}, errs.New(errs.Invalid, "sql-server: port %d is that of Arrow clients; remotes need another", c.Listener.RemotePort)
	}
	address, err := c.address("remote", "remotes need", c.Listener.RemotePort)
	return remote.Options{Address: address}, err
}

// maxPort is the highest port of TCP.
const maxPort = 1<<16 - 1

// address is where a listener beside MySQL's listens, "" for nowhere.
func (c *serverConfig) address(name, who string, port int) (string, error) {
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

// check refuses numbers that a server cannot work with.
func (c *serverConfig) check() error {
	const year = 365 * 24 * 60 * 60 * 1000 // milliseconds
	l := &c.Listener
	for _, x := range []struct {
		name           string
		n, least, most int
	}{
		{"port", l.Port, 0, maxPort},
		{"max_connections", l.MaxConnections, 1, math.MaxInt32},
		{"back_log", l.BackLog, 1, math.MaxInt32},
		{"max_connections_timeout_millis", l.Patience, 1, year},
		{"read_timeout_millis", l.ReadTimeout, 0, year},
		{"write_timeout_millis", l.WriteTimeout, 0, year},
	} {
		if x.n < x.least || x.n > x.most {
			return errs.New(errs.Invalid, "sql-server: %s %d: want %d to %d", x.name, x.n, x.least, x.most)
		}
	}
	return nil
}

// options are the settings as the server wants them, for databases in dir.
func (c *serverConfig) options(p *Program, dir string) (mysql.Options, error) {
	if err := c.check(); err != nil {
		return mysql.Options{}, err
	}
	level, err := mysql.ParseLevel(c.LogLevel)
	if err != nil {
		return mysql.Options{}, err
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return mysql.Options{}, errs.New(errs.Invalid, "log format %q: want text or json", c.LogFormat)
	}
	path := func(s string) string {
		if s == "" {
			return ""
		}
		return absolute(p.Dir, s)
	}
	if c.PrivilegeFile == "" && c.ConfigDir != "" {
		c.PrivilegeFile = filepath.Join(c.ConfigDir, "privileges.db")
	}
	limit := func(millis int) time.Duration {
		if millis == 0 {
			return -1
		}
		return time.Duration(millis) * time.Millisecond
	}
	o := mysql.Options{
		Address: net.JoinHostPort(c.Listener.Host, strconv.Itoa(c.Listener.Port)), Socket: path(c.Listener.Socket),
		Privileges: path(c.PrivilegeFile), Files: filepath.Join(dir, "files"), ReadOnly: c.Behavior.ReadOnly,
		NoAutoCommit: !c.Behavior.AutoCommit, OneStatement: c.Behavior.OneStatement, Variables: maps.Clone(c.Variables),
		MaxConnections: c.Listener.MaxConnections, BackLog: c.Listener.BackLog, Patience: time.Duration(c.Listener.Patience) * time.Millisecond,
		Timeout: limit(c.Listener.ReadTimeout), WriteTimeout: limit(c.Listener.WriteTimeout),
		RequireTLS: c.Listener.RequireTLS || c.Listener.RequireClientCert,
		Log:        mysql.NewLogger(p.Err, level, c.LogFormat == "json"), QueryLength: c.QueryLength,
	}
	if o.QueryLength == 0 {
		o.QueryLength = math.MaxInt32 // as long as it is
	}
	if c.Behavior.TransactionCommit {
		if o.Variables == nil {
			o.Variables = map[string]string{}
		}
		o.Variables["dolt_transaction_commit"] = "1"
	}
	if o.TLS, err = mysql.LoadTLS(path(c.Listener.TLSCert), path(c.Listener.TLSKey)); err != nil {
		return mysql.Options{}, err
	}
	if err := mysql.VerifyClients(o.TLS, path(c.Listener.CACert), c.Listener.RequireClientCert); err != nil {
		return mysql.Options{}, err
	}
	o.UserVars = map[string]map[string]string{}
	for _, u := range c.UserVars {
		o.UserVars[u.Name] = u.Vars
	}
	return o, nil
}
