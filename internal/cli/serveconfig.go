package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/server/mysql"
)

// serverConfig is the settings of a server, as the file of YAML has them. The names are Dolt's.
type serverConfig struct {
	LogLevel      string `yaml:"log_level"`
	LogFormat     string `yaml:"log_format"`
	QueryLength   int    `yaml:"max_logged_query_len"`
	DataDir       string `yaml:"data_dir"`
	ConfigDir     string `yaml:"cfg_dir"`
	PrivilegeFile string `yaml:"privilege_file"`
	Behavior      struct {
		ReadOnly          bool `yaml:"read_only"`
		AutoCommit        bool `yaml:"autocommit"`
		TransactionCommit bool `yaml:"dolt_transaction_commit"`
		OneStatement      bool `yaml:"disable_client_multi_statements"`
	} `yaml:"behavior"`
	Listener struct {
		Host              string `yaml:"host"`
		Port              int    `yaml:"port"`
		MaxConnections    int    `yaml:"max_connections"`
		BackLog           int    `yaml:"back_log"`
		Patience          int    `yaml:"max_connections_timeout_millis"`
		ReadTimeout       int    `yaml:"read_timeout_millis"`  // 0: no limit
		WriteTimeout      int    `yaml:"write_timeout_millis"` // 0: no limit
		Socket            string `yaml:"socket"`
		TLSCert           string `yaml:"tls_cert"`
		TLSKey            string `yaml:"tls_key"`
		CACert            string `yaml:"ca_cert"`
		RequireTLS        bool   `yaml:"require_secure_transport"`
		RequireClientCert bool   `yaml:"require_client_cert"`
		FlightPort        int    `yaml:"flight_port"` // 0: Arrow clients are not let in
		RemotePort        int    `yaml:"remote_port"` // 0: nobody pushes or fetches
	} `yaml:"listener"`
	Follow struct {
		Remote    string   `yaml:"remote"`          // "": no database is a replica
		Interval  int      `yaml:"interval_millis"` // how often it is asked
		Databases []string `yaml:"databases"`       // all, unless some are named
	} `yaml:"follow"`
	followed  string            // what the flag says
	Variables map[string]string `yaml:"system_variables"`
	UserVars  []struct {
		Name string            `yaml:"name"`
		Vars map[string]string `yaml:"vars"`
	} `yaml:"user_session_vars"`
}

// defaultConfig is the settings that hold where nothing else is said.
func defaultConfig() serverConfig {
	var c serverConfig
	c.LogLevel, c.LogFormat = "info", "text"
	c.QueryLength = mysql.DefaultQueryLength
	c.Behavior.AutoCommit = true
	c.Follow.Interval = int(followEvery.Milliseconds())
	c.Listener.Host = "localhost"
	c.Listener.Port = mysql.DefaultPort
	c.Listener.MaxConnections = mysql.DefaultMaxConnections
	c.Listener.BackLog = mysql.DefaultBackLog
	c.Listener.Patience = int(mysql.DefaultPatience.Milliseconds())
	c.Listener.ReadTimeout = int(mysql.DefaultTimeout.Milliseconds())
	c.Listener.WriteTimeout = c.Listener.ReadTimeout
	return c
}

// read puts a file's settings over c, with ${NAME} for a variable of the environment and $$ for a dollar. Settings that are not known are
// an error of class Invalid, so that a misspelt one is found.
func (c *serverConfig) read(path string, env func(string) string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return errs.New(errs.NotFound, "read settings: %w", err)
	}
	if data, err = interpolate(data, env); err != nil {
		return errs.New(errs.Invalid, "read settings from %s: %w", path, err)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	err = d.Decode(c)
	if t := (*yaml.TypeError)(nil); errors.As(err, &t) {
		for i, text := range t.Errors { // they name types of Go
			t.Errors[i] = unknownField.ReplaceAllString(text, "there is no setting '$1' here")
			if m := unknownField.FindStringSubmatch(text); m != nil && refusedSettings[m[1]] != "" {
				t.Errors[i] += ": " + refusedSettings[m[1]]
			}
		}
		return errs.New(errs.Invalid, "read settings from %s: %s", path, strings.Join(t.Errors, "; "))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return errs.New(errs.Invalid, "read settings from %s: %w", path, err)
	}
	return nil
}

// refusedSettings are settings of Dolt's server that this one has no use for, and what to do instead.
var refusedSettings = map[string]string{
	"user":                      refusedUser,
	"remotesapi":                refusedRemotes,
	"mcp_server":                refusedMCP,
	"golden_mysql_conn":         refusedGolden,
	"event_scheduler":           refusedEvents,
	"branch_control_file":       refusedControl,
	"allow_cleartext_passwords": refusedCleartext,
	"cluster":                   "replicate by push and pull",
	"performance":               "statements are run in parallel without it",
	"auto_gc_behavior":          "leave it out",
	"persistence_behavior":      "variables are kept by SET PERSIST only",
	"branch_activity_tracking":  "dolt_branch_activity needs no setting",
}

// reference is what of a file of settings is replaced, or a dollar that is not.
var reference = regexp.MustCompile(`\$(\$|\{[A-Za-z_][A-Za-z0-9_]*\})?`)

// interpolate replaces ${NAME} by the variable of the environment, which must be set, and $$ by a dollar.
func interpolate(data []byte, env func(string) string) (out []byte, err error) {
	out = reference.ReplaceAllFunc(data, func(m []byte) []byte {
		switch {
		case len(m) < 2:
			return m
		case m[1] == '$':
			return m[1:]
		}
		name := string(m[2 : len(m)-1])
		v := env(name)
		if v == "" && err == nil {
			err = errs.New(errs.Invalid, "the environment has no variable %s", name)
		}
		return []byte(v)
	})
	return out, err
}

var unknownField = regexp.MustCompile(`field (\S+) not found in type .*`)

// String is the line with which a server starts, Dolt's.
func (c serverConfig) String() string {
	s := fmt.Sprintf(`HP="%s:%d"|U="root"|P=""|T="%d"|R="%t"|L="%s"`, c.Listener.Host, c.Listener.Port, c.Listener.ReadTimeout, c.Behavior.ReadOnly, c.LogLevel)
	if c.Listener.Socket != "" {
		s += fmt.Sprintf(`|S="%s"`, c.Listener.Socket)
	}
	return s
}
