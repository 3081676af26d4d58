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
	DataDir       string `yaml:"data_dir"`
	PrivilegeFile string `yaml:"privilege_file"`
	Behavior      struct {
		ReadOnly   bool `yaml:"read_only"`
		AutoCommit bool `yaml:"autocommit"`
	} `yaml:"behavior"`
	Listener struct {
		Host           string `yaml:"host"`
		Port           int    `yaml:"port"`
		MaxConnections int    `yaml:"max_connections"`
		ReadTimeout    int    `yaml:"read_timeout_millis"`
		Socket         string `yaml:"socket"`
		TLSCert        string `yaml:"tls_cert"`
		TLSKey         string `yaml:"tls_key"`
		RequireTLS     bool   `yaml:"require_secure_transport"`
		FlightPort     int    `yaml:"flight_port"` // 0: Arrow clients are not let in
		RemotePort     int    `yaml:"remote_port"` // 0: nobody pushes or fetches
	} `yaml:"listener"`
	UserVars []struct {
		Name string            `yaml:"name"`
		Vars map[string]string `yaml:"vars"`
	} `yaml:"user_session_vars"`
}

// defaultConfig is the settings that hold where nothing else is said.
func defaultConfig() serverConfig {
	var c serverConfig
	c.LogLevel = "info"
	c.Behavior.AutoCommit = true
	c.Listener.Host = "localhost"
	c.Listener.Port = mysql.DefaultPort
	c.Listener.MaxConnections = mysql.DefaultMaxConnections
	c.Listener.ReadTimeout = int(mysql.DefaultTimeout.Milliseconds())
	return c
}

// read puts a file's settings over c. Settings that are not known are an error of class Invalid, so that a misspelt one is found.
func (c *serverConfig) read(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return errs.New(errs.NotFound, "read settings: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	err = d.Decode(c)
	if t := (*yaml.TypeError)(nil); errors.As(err, &t) {
		for i, text := range t.Errors { // they name types of Go
			t.Errors[i] = unknownField.ReplaceAllString(text, "there is no setting '$1' here")
		}
		return errs.New(errs.Invalid, "read settings from %s: %s", path, strings.Join(t.Errors, "; "))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return errs.New(errs.Invalid, "read settings from %s: %w", path, err)
	}
	return nil
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
