package mysql

import (
	"crypto/tls"

	"github.com/stemmadb/stemma/internal/errs"
)

// LoadTLS makes the configuration of a server from files of PEM: its certificate, with the chain behind it, and the key. Without
// either it is nil.
func LoadTLS(certFile, keyFile string) (*tls.Config, error) {
	switch {
	case certFile == "" && keyFile == "":
		return nil, nil
	case certFile == "":
		return nil, errs.New(errs.Invalid, "a TLS key needs its certificate: give --tls-cert")
	case keyFile == "":
		return nil, errs.New(errs.Invalid, "a TLS certificate needs its key: give --tls-key")
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, errs.New(errs.Invalid, "read TLS certificate %s and key %s: %w", certFile, keyFile, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}
