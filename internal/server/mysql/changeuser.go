package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"

	vitess "github.com/dolthub/vitess/go/mysql"
)

// changeRequest is what a COM_CHANGE_USER asks for.
type changeRequest struct {
	user, database, method string
	collation              uint16
}

// parseChange reads a COM_CHANGE_USER behind its first byte. The answer to a challenge in it is left alone: the client is given a new
// challenge.
func parseChange(p []byte) (r changeRequest, ok bool) {
	text := func() string {
		s, rest, found := bytes.Cut(p, []byte{0})
		ok = ok && found
		p = rest
		return string(s)
	}
	ok = true
	r.user = text()
	if !ok || len(p) == 0 || len(p) <= int(p[0]) {
		return r, false
	}
	p = p[1+int(p[0]):]
	r.database = text()
	if !ok {
		return r, false
	}
	if len(p) >= 2 {
		r.collation = binary.LittleEndian.Uint16(p)
		p = p[2:]
	}
	if len(p) > 0 {
		r.method = text()
	}
	return r, ok
}

// ComInitDB implements vitess.Handler. It may be a COM_CHANGE_USER: see wire.
func (h *handler) ComInitDB(c *vitess.Conn, name string) (err error) {
	defer h.finish(c, "", &err)
	w, ok := c.Conn.(*wire)
	request, change := strings.CutPrefix(name, changeMark)
	if !ok || !change {
		return h.Handler.ComInitDB(c, name)
	}
	defer func() { w.end(err != nil) }() // who is not let in is not who was before either
	r, ok := parseChange([]byte(request))
	if !ok {
		return vitess.NewSQLError(erUnknownCommand, "08S01", "Malformed communication packet")
	}
	data, err := h.login(c, w, r)
	if err != nil {
		return err
	}
	if err := h.Handler.ComInitDB(c, ""); err != nil { // the new user may have no right to the old database
		return err
	}
	c.User, c.UserData = r.user, data
	c.PrepareData = map[uint32]*vitess.PrepareData{}
	if r.collation != 0 && r.collation < 256 {
		c.CharacterSet = uint8(r.collation)
	}
	if err := h.Handler.ComResetConnection(c); err != nil {
		return err
	}
	h.setFlags(context.Background(), c)
	if r.database == "" {
		return nil
	}
	return h.Handler.ComInitDB(c, r.database)
}

// MySQL's numbers of errors of the protocol.
const (
	erUnknownCommand = 1047
	erAccessDenied   = 1045
)

// authSwitch begins the packet that challenges a client.
const authSwitch = 0xfe

// login challenges a client that says it is another user now.
func (h *handler) login(c *vitess.Conn, w *wire, r changeRequest) (vitess.Getter, error) {
	denied := vitess.NewSQLError(erAccessDenied, "28000", "Access denied for user '%s'", r.user)
	var method vitess.AuthMethod
	for _, m := range h.auth.AuthMethods() {
		if m.HandleUser(c, r.user) && (method == nil || string(m.Name()) == r.method) {
			method = m
			if string(m.Name()) == r.method {
				break
			}
		}
	}
	if method == nil || !c.TLSEnabled() && !method.AllowClearTextWithoutTLS() {
		return nil, denied
	}
	challenge, err := method.AuthPluginData()
	if err != nil {
		return nil, err
	}
	packet := append([]byte{authSwitch}, method.Name()...)
	if err := w.interpose(append(append(packet, 0), challenge...)); err != nil {
		return nil, err
	}
	answer, err := c.ReadPacket(context.Background())
	if err != nil {
		return nil, err
	}
	return method.HandleAuthPluginData(c, r.user, challenge, answer, c.RemoteAddr())
}
